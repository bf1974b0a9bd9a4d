"""Whether a study is still the patient's before its result is sent: ``[identity]``."""

from pydantic import Field, field_validator

from node.core.identity import IdentityPolicy, OnDifference
from node.core.study import IDENTITY_KEYWORDS
from node.settings.kinds import Seconds, Table


class IdentityTable(Table):
    """``[identity]``: the check with the archive before anything is sent."""

    on_difference: OnDifference = Field(
        OnDifference.ARCHIVE_CORRECTS,
        description="What is done when the archive says that it is another patient's by now.",
    )
    hold: bool = Field(
        False, description="What no archive verifies waits; otherwise it is sent, and marked."
    )
    wait_s: Seconds = Field(
        30.0, description="How long an archive is asked that does not say, before it is sent."
    )
    compare: tuple[str, ...] = Field(IDENTITY_KEYWORDS, description="Attributes that are compared.")

    @field_validator("compare")
    @classmethod
    def _known(cls, compare: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted({*compare} - {*IDENTITY_KEYWORDS})
        if unknown or "PatientID" not in compare:
            known = ", ".join(IDENTITY_KEYWORDS)
            raise ValueError(f"expected PatientID, and any others of {known}")
        return compare

    @property
    def policy(self) -> IdentityPolicy:
        """What the site wants, as the pipeline knows it."""
        return IdentityPolicy(
            on_difference=self.on_difference,
            hold=self.hold,
            wait_s=self.wait_s,
            keywords=self.compare,
        )

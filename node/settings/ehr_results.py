"""In which form a record is given results: ``[peer.fhir.results]``."""

from typing import Literal, Self

from pydantic import Field, model_validator

from node.settings.kinds import Table


class EhrResultsTable(Table):
    """``results`` of a FHIR endpoint: what is written there of a result, and how."""

    kind: Literal["DiagnosticReport", "DocumentReference"] = Field(
        "DiagnosticReport", description="The whole report, or a document alone."
    )
    status: Literal["preliminary", "partial"] = Field(
        "preliminary", description="Status of a DiagnosticReport that nobody has signed."
    )
    page: bool = Field(False, description="Present the page of the result with the report.")
    task: bool = Field(False, description="Write a Task that says that the analysis is done.")
    leave_out: frozenset[Literal["ImagingStudy", "Device", "Provenance", "Task"]] = Field(
        frozenset(), description="Types that the site does not want to be written."
    )
    critical: frozenset[str] = Field(
        frozenset(), description="Findings that are critical where they are present."
    )
    notice: Literal["none", "flag", "communication"] = Field(
        "none", description="How a critical finding is told besides."
    )
    strategy: Literal["transaction", "put", "search"] | None = Field(
        None, description="How it is written; none for what the server says it can."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.notice != "none" and not self.critical:
            raise ValueError("results.notice tells of findings that results.critical names")
        if self.kind == "DocumentReference" and (self.page or self.status != "preliminary"):
            raise ValueError("results.page and results.status are of a DiagnosticReport")
        return self

"""Which series go to which model, and which to none: ``[[rule]]`` and ``[exclude]``."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from inference.keywords import understood
from inference.selection import Selection, SelectionInvalid, parse
from node.core.exclusion import BY_SITE, KINDS, Exclusion
from node.core.routing import Rule
from node.settings.kinds import Seconds, Table


class RuleTable(Table):
    """``[[rule]]``: which series go to which model."""

    name: str = Field(min_length=1, description="For people; it stands in every job it makes.")
    model: str = Field(description="Name of the model's folder in the repository.")
    select: dict[str, Any] = Field(
        default_factory=dict, description="Criteria over DICOM keywords (the selection language)."
    )
    destinations: tuple[str, ...] = Field(
        (), description="Peers; empty for the source's `results_to`."
    )
    priority: int = Field(0, description="Higher is more urgent.")
    prefer: tuple[dict[str, Any], ...] = Field(
        (), description="Which series is best, in this order; one series of a study is read."
    )
    wait_s: Seconds | None = Field(
        None, description="How long a lesser series waits for a better one."
    )
    deadline_s: Seconds | None = Field(None, description="When the study should be analysed.")
    keep_days: float | None = Field(
        None, ge=0, description="Days that its series are kept after all deliveries were confirmed."
    )

    @model_validator(mode="after")
    def _selectable(self) -> "RuleTable":
        faults = _faults("select", self.select)
        for place, wish in enumerate(self.prefer):
            faults += _faults(f"prefer.{place}", wish)
        if self.wait_s is not None and not self.prefer:
            faults.append("wait_s: there is nothing to wait for without prefer")
        if faults:
            raise SelectionInvalid(faults)
        return self

    def rule(self) -> Rule:
        """Return the rule as the core knows it."""
        selection: Selection = parse(self.select)
        return Rule(
            name=self.name,
            model=self.model,
            select=selection,
            destinations=self.destinations,
            priority=self.priority,
            prefer=tuple(parse(wish) for wish in self.prefer),
            wait_s=self.wait_s,
            deadline_s=self.deadline_s,
        )


class ExcludeTable(Table):
    """``[exclude]``: what no rule is asked about."""

    phantoms: bool = Field(True, description="Phantoms and quality control.")
    localisers: bool = Field(True, description="Localisers.")
    dose_reports: bool = Field(True, description="Dose reports and dose pages.")
    secondary_captures: bool = Field(True, description="Secondary captures.")
    burned_in: bool = Field(True, description="Images with text in their pixels.")
    more: tuple[dict[str, Any], ...] = Field((), description="The site's own, as criteria.")

    @model_validator(mode="after")
    def _selectable(self) -> "ExcludeTable":
        faults = [fault for i, one in enumerate(self.more) for fault in _faults(f"more.{i}", one)]
        faults += [f"more.{i}: would exclude all" for i, one in enumerate(self.more) if not one]
        if faults:
            raise SelectionInvalid(faults)
        return self

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """The exclusions as the core knows them."""
        own = tuple(Exclusion(reason=BY_SITE, select=parse(one)) for one in self.more)
        kinds = (KINDS[name] for name in KINDS if getattr(self, name))
        return (*(one for kind in kinds for one in kind), *own)


def _faults(where: str, table: Mapping[str, Any]) -> list[str]:
    try:
        understood(table)
    except SelectionInvalid as error:
        return [f"{where}.{fault}" for fault in error.faults]
    return []

"""The one selection language, for the node's rules and the models' cards alike.

A selection is a table of criteria over DICOM keywords; it matches when all of them hold::

    [input.select]
    Modality = "MR"                                   # equal, letter case aside
    BodyPartExamined = ["HEAD", "BRAIN"]              # one of
    SeriesDescription = { regex = "t1|mprage" }       # found anywhere, letter case aside
    SliceThickness = { max = 3.0 }                    # range, ends included
    ContrastBolusAgent = { present = false }          # absent or empty
    SeriesInstances = { min = 60 }                    # facts the node adds, beside the keywords
    ImageType = { none_of = ["DERIVED", "LOCALIZER"] } # exclusion

A multi-valued attribute matches when any of its values does, and fails ``none_of`` when any of them
is named. An absent attribute fails every criterion but ``none_of`` and ``present = false``. Nothing
is evaluated as code. Pure: the standard library only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = str | int | float | Sequence[str | int | float]
"""What a header says under one keyword: one value, or several."""

Facts = Mapping[str, Value]
"""Attributes of a series by DICOM keyword."""


class SelectionInvalid(ValueError):
    """A criterion is not understood; the message names its key and what is allowed."""


class Criterion(Protocol):
    """One condition on the values of one keyword."""

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether `values`, empty when the attribute is absent, satisfy the condition."""

    def __str__(self) -> str:
        """Say the condition in words."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any value equals any of `allowed`; text compares without regard to letter case."""

    allowed: tuple[str | int | float, ...]

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether any value is allowed."""
        allowed = {_folded(value) for value in self.allowed}
        return any(_folded(value) in allowed for value in values)

    def __str__(self) -> str:
        return " or ".join(str(value) for value in self.allowed)


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No value equals any of `refused`."""

    refused: tuple[str | int | float, ...]

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether no value is refused."""
        return not OneOf(self.refused).holds(values)

    def __str__(self) -> str:
        return "none of " + ", ".join(str(value) for value in self.refused)


@dataclass(frozen=True, slots=True)
class Range:
    """Any value lies between `minimum` and `maximum`, both included; None leaves an end open."""

    minimum: float | None
    maximum: float | None

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether any value is a number within the range."""
        return any(self._within(value) for value in values)

    def _within(self, value: str | float) -> bool:
        try:
            number = float(value)
        except ValueError:
            return False
        return (self.minimum is None or number >= self.minimum) and (
            self.maximum is None or number <= self.maximum
        )

    def __str__(self) -> str:
        ends = [("at least", self.minimum), ("at most", self.maximum)]
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)


@dataclass(frozen=True, slots=True)
class Matches:
    """Any value contains the regular expression, letter case aside."""

    pattern: str

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether the pattern is found in any value."""
        return any(re.search(self.pattern, str(value), re.IGNORECASE) for value in values)

    def __str__(self) -> str:
        return f"matching /{self.pattern}/"


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute has a value, or has none."""

    wanted: bool

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether the presence of a value is as wanted."""
        return bool(values) == self.wanted

    def __str__(self) -> str:
        return "present" if self.wanted else "absent"


@dataclass(frozen=True, slots=True)
class Selection:
    """Criteria by keyword, all of which must hold."""

    criteria: tuple[tuple[str, Criterion], ...] = ()

    def failures(self, facts: Facts) -> tuple[str, ...]:
        """Say each criterion that does not hold, ``keyword must be …``; empty when all hold.

        Only what was wanted is told, never the attribute's value: the text may go to a log.
        """
        return tuple(
            f"{keyword} must be {criterion}"
            for keyword, criterion in self.criteria
            if not criterion.holds(_values(facts.get(keyword)))
        )


def parse(table: Mapping[str, Any]) -> Selection:
    """Read a selection from a TOML table.

    Raises
    ------
    SelectionInvalid
        A criterion is not understood; whoever wrote the rule or the card mends it.
    """
    return Selection(
        tuple((key, criterion) for key, spec in table.items() for criterion in _parse(key, spec))
    )


def _parse(key: str, spec: object) -> list[Criterion]:
    match spec:
        case bool():
            pass
        case str() | int() | float():
            return [OneOf((spec,))]
        case list() if spec and all(isinstance(item, str | int | float) for item in spec):
            return [OneOf(tuple(spec))]
        case dict() if spec and set(spec) <= {"min", "max", "regex", "present", "none_of"}:
            return _parse_table(key, spec)
    raise SelectionInvalid(
        f"{key}: expected a value, a list of values, or a table of min, max, regex, present, none_of"
    )


def _parse_table(key: str, spec: Mapping[str, Any]) -> list[Criterion]:
    criteria: list[Criterion] = []
    try:
        if "min" in spec or "max" in spec:
            ends = [float(spec[end]) if end in spec else None for end in ("min", "max")]
            criteria.append(Range(*ends))
        if "regex" in spec:
            criteria.append(Matches(re.compile(spec["regex"]).pattern))
        if "none_of" in spec:
            criteria.append(NoneOf(tuple(spec["none_of"])))
    except (TypeError, ValueError, re.error) as error:
        raise SelectionInvalid(f"{key}: {error}") from error
    if "present" in spec:
        if not isinstance(spec["present"], bool):
            raise SelectionInvalid(f"{key}.present: expected true or false")
        criteria.append(Present(spec["present"]))
    return criteria


def _values(value: Value | None) -> Sequence[str | int | float]:
    match value:
        case None | "":
            return ()
        case str() | int() | float():
            return (value,)
        case _:
            return tuple(item for item in value if item != "")


def _folded(value: str | float) -> str | float:
    return value.strip().casefold() if isinstance(value, str) else float(value)

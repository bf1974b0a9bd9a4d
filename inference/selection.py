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
    ViewCodeSequence = { code = "399162004", scheme = "SCT" } # an item with this coded value
    "0019,0c SIEMENS MR HEADER" = { min = 1 }         # a private element, wherever the object keeps it

A multi-valued attribute matches when any of its values does, and fails ``none_of`` when any of them
is named. An absent attribute fails every criterion but ``none_of`` and ``present = false``. Nothing
is evaluated as code, and a regular expression that could run away is refused when it is read
(`inference.patterns`). Pure: the standard library only; `inference.keywords` holds the keys against the
DICOM dictionary.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inference import private
from inference.patterns import LONGEST_TEXT, PatternRefused, bounded

Value = str | int | float | Sequence[str | int | float]
"""What a header says under one keyword: one value, or several."""

Facts = Mapping[str, Value]
"""Attributes of a series by DICOM keyword, or by the text of a private element (`inference.private`)."""

OWN_FACTS: Mapping[str, str] = {"SeriesInstances": "how many instances the series has"}
"""Keys of the language's own: facts that grow while a series arrives, and are no attribute of an instance."""

CODE = "{value}^{scheme}"
"""How facts write an item of a code sequence: Code Value and Coding Scheme Designator (PS3.3 8.8)."""


class SelectionInvalid(ValueError):
    """Criteria that are not understood.

    Parameters
    ----------
    faults
        One for each, ``key: what is wrong``.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


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
        return any(
            re.search(self.pattern, str(value)[:LONGEST_TEXT], re.IGNORECASE) for value in values
        )

    def __str__(self) -> str:
        return f"matching /{self.pattern}/"


@dataclass(frozen=True, slots=True)
class Coded:
    """Any item of a code sequence has one of `codes` of `scheme`; letter case counts (PS3.3 8.1)."""

    codes: tuple[str, ...]
    scheme: str

    def holds(self, values: Sequence[str | int | float]) -> bool:
        """Whether any item's coded value is wanted."""
        return not {CODE.format(value=code, scheme=self.scheme) for code in self.codes}.isdisjoint(
            values
        )

    def __str__(self) -> str:
        return f"coded {' or '.join(self.codes)} ({self.scheme})"


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

    @property
    def keys(self) -> frozenset[str]:
        """What it asks for."""
        return frozenset(key for key, _ in self.criteria)

    @property
    def fixed(self) -> "Selection":
        """The criteria that the first instance of a series decides: those over anything but `OWN_FACTS`."""
        return Selection(tuple(one for one in self.criteria if one[0] not in OWN_FACTS))

    def checks(self, facts: Facts) -> tuple[tuple[str, bool], ...]:
        """Say each criterion, ``keyword must be …``, and whether it holds.

        Only what was wanted is told, never the attribute's value: the text may go to a log.
        """
        return tuple(
            (f"{keyword} must be {criterion}", criterion.holds(_values(facts.get(keyword))))
            for keyword, criterion in self.criteria
        )

    def failures(self, facts: Facts) -> tuple[str, ...]:
        """Say each criterion that does not hold; empty when all hold."""
        return tuple(words for words, holds in self.checks(facts) if not holds)


def parse(table: Mapping[str, Any]) -> Selection:
    """Read a selection from a TOML table.

    Raises
    ------
    SelectionInvalid
        Criteria are not understood, each of them is told; whoever wrote the rule or the card mends them.
    """
    criteria: list[tuple[str, Criterion]] = []
    faults: list[str] = []
    for key, spec in table.items():
        try:
            name = str(private.parse(key)) if private.is_private(key) else key
            criteria += [(name, criterion) for criterion in _parse(key, spec)]
        except SelectionInvalid as error:
            faults += error.faults
        except private.PrivateTagInvalid as error:
            faults.append(f"{key}: {error}")
    if faults:
        raise SelectionInvalid(faults)
    return Selection(tuple(criteria))


def _parse(key: str, spec: object) -> list[Criterion]:
    match spec:
        case bool():
            pass
        case str() | int() | float():
            return [OneOf((spec,))]
        case list() if spec and all(_is_scalar(item) for item in spec):
            return [OneOf(tuple(spec))]
        case dict() if spec:
            return _parse_table(key, spec)
    words = ", ".join(sorted(_READERS))
    raise SelectionInvalid([f"{key}: expected a value, a list of values, or a table of {words}"])


def _parse_table(key: str, spec: Mapping[str, Any]) -> list[Criterion]:
    criteria: list[Criterion] = []
    faults = []
    for word, value in spec.items():
        try:
            found = _READERS[word](value, spec)
        except KeyError:
            known = ", ".join(sorted(_READERS))
            faults.append(f"{key}.{word}: there is no such criterion; there are {known}")
        except (TypeError, ValueError) as error:
            faults.append(f"{key}.{word}: {error}")
        else:
            criteria += [found] if found is not None else []
    if faults:
        raise SelectionInvalid(faults)
    return criteria


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("expected a number")
    return float(value)


def _at_least(value: Any, _: Mapping[str, Any]) -> Criterion:
    return Range(_number(value), None)


def _at_most(value: Any, _: Mapping[str, Any]) -> Criterion:
    return Range(None, _number(value))


def _matches(value: Any, _: Mapping[str, Any]) -> Criterion:
    if not isinstance(value, str):
        raise PatternRefused("expected a regular expression")
    return Matches(bounded(value))


def _none_of(value: Any, _: Mapping[str, Any]) -> Criterion:
    if not isinstance(value, list) or not value or not all(_is_scalar(item) for item in value):
        raise TypeError("expected a list of values")
    return NoneOf(tuple(value))


def _present(value: Any, _: Mapping[str, Any]) -> Criterion:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return Present(value)


def _coded(value: Any, spec: Mapping[str, Any]) -> Criterion:
    codes = value if isinstance(value, list) else [value]
    if not codes or not all(isinstance(code, str) and code for code in codes):
        raise TypeError("expected a code value, or a list of them, as text")
    if not isinstance(spec.get("scheme"), str):
        raise TypeError('a code needs its scheme beside it, as in scheme = "SCT"')
    return Coded(tuple(codes), spec["scheme"])


def _scheme(_: Any, spec: Mapping[str, Any]) -> None:
    if "code" not in spec:
        raise TypeError("a scheme needs a code beside it")


_READERS: Mapping[str, Callable[[Any, Mapping[str, Any]], Criterion | None]] = {
    "min": _at_least,
    "max": _at_most,
    "regex": _matches,
    "none_of": _none_of,
    "present": _present,
    "code": _coded,
    "scheme": _scheme,
}


def _is_scalar(item: object) -> bool:
    return isinstance(item, str | int | float) and not isinstance(item, bool)


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

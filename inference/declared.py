"""What a model's card says that it looks for, beside the segments of its mask.

A question is answered for the whole series, a target is found at places, a quantity is measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.codes import Code

PROBABILITIES = frozenset({("122157", "DCM"), ("111047", "DCM"), ("111012", "DCM")})
"""Concepts that only a calibrated probability may bear: Probability, Probability of cancer, Certainty of
Finding."""

PRIVATE = "99"
"""How the designator of a private coding scheme begins (PS3.16 8.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a score becomes an answer.

    Parameters
    ----------
    score
        What the score is: a private code, unless it is a calibrated probability.
    calibrated
        Whether the score is a probability that was held against outcomes.
    threshold
        The operating threshold: from here on the answer is present.
    indeterminate_from
        From here up to the threshold the answer is indeterminate; None when below it all is absent.
    """

    score: Code
    calibrated: bool
    threshold: float
    indeterminate_from: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something that is in the series or is not: the model classifies.

    Parameters
    ----------
    label
        For people.
    category, type
        What it is, as a segment's category and type are (CID 7150, CID 7151).
    finding_site, laterality
        Where it lies, and on which side (CID 244); None when the type says it.
    decision
        How the model's score is read.
    """

    label: str
    category: Code
    type: Code
    finding_site: Code | None
    laterality: Code | None
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something of which there may be several in the series: the model detects.

    Parameters
    ----------
    label
        For people.
    category, type
        What it is (CID 7150, CID 7151).
    finding_site, laterality
        Where it lies, and on which side (CID 244); None when the type says it.
    colour_rgb
        Display colour, 0–255 each.
    decision
        How the score of each place is read; nothing is indeterminate here.
    """

    label: str
    category: Code
    type: Code
    finding_site: Code | None
    laterality: Code | None
    colour_rgb: tuple[int, int, int]
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number of the whole series: a measurement, or a score with its own scale.

    Parameters
    ----------
    label
        For people.
    concept
        What is measured.
    unit
        UCUM unit; ``1`` for a number without one, ``{score}`` for points of a scale.
    derivation
        How it follows from many (CID 7464: mean, maximum); None when it does not.
    finding_site, laterality
        Where it is measured, and on which side (CID 244); None when the concept says it.
    """

    label: str
    concept: Code
    unit: Code
    derivation: Code | None
    finding_site: Code | None
    laterality: Code | None


def question(table: Mapping[str, Any]) -> Question:
    """Read a ``[[classification]]`` of a card.

    Raises
    ------
    KeyError
        A key is missing; `card.load` says which.
    TypeError
        A value is of the wrong kind; `card.load` says where.
    ValueError
        A value is wrong; `card.load` says where.
    """
    return Question(
        label=table["label"],
        category=code(table["category"]),
        type=code(table["type"]),
        **_place(table),
        decision=_decision(table),
    )


def target(table: Mapping[str, Any]) -> Target:
    """Read a ``[[detection]]`` of a card.

    Raises
    ------
    KeyError
        A key is missing; `card.load` says which.
    TypeError
        A value is of the wrong kind; `card.load` says where.
    ValueError
        A value is wrong; `card.load` says where.
    """
    if "indeterminate_from" in table:
        raise ValueError(
            f"detection {table['label']}: a place is found or not, never indeterminate"
        )
    red, green, blue = (int(value) for value in table["colour_rgb"])
    return Target(
        label=table["label"],
        category=code(table["category"]),
        type=code(table["type"]),
        **_place(table),
        colour_rgb=(red, green, blue),
        decision=_decision(table),
    )


def quantity(table: Mapping[str, Any]) -> Quantity:
    """Read a ``[[measurement]]`` of a card.

    Raises
    ------
    KeyError
        A key is missing; `card.load` says which.
    TypeError
        A value is of the wrong kind; `card.load` says where.
    ValueError
        A value is wrong; `card.load` says where.
    """
    unit = code(table["unit"])
    if unit.scheme != "UCUM":
        raise ValueError(f"measurement {table['label']}: its unit must be a code of UCUM")
    return Quantity(
        label=table["label"],
        concept=code(table["concept"]),
        unit=unit,
        derivation=optional_code(table.get("derivation")),
        **_place(table),
    )


def code(triple: list[str]) -> Code:
    """Read a code ``[value, scheme, meaning]``.

    Raises
    ------
    ValueError
        It has not three parts.
    """
    value, scheme, meaning = triple
    return Code(value, scheme, meaning)


def optional_code(triple: list[str] | None) -> Code | None:
    """Read a code that may be absent.

    Raises
    ------
    ValueError
        It has not three parts.
    """
    return None if triple is None else code(triple)


def _place(table: Mapping[str, Any]) -> dict[str, Code | None]:
    if "laterality" in table and "finding_site" not in table:
        raise ValueError(f"{table['label']}: laterality needs a finding_site")
    return {key: optional_code(table.get(key)) for key in ("finding_site", "laterality")}


def _decision(table: Mapping[str, Any]) -> Decision:
    score, calibrated = code(table["score"]), bool(table["calibrated"])
    threshold, lower = float(table["threshold"]), table.get("indeterminate_from")
    if not calibrated and (score.value, score.scheme) in PROBABILITIES:
        raise ValueError(f"{table['label']}: {score.meaning} is said of calibrated scores only")
    if not calibrated and not score.scheme.startswith(PRIVATE):
        raise ValueError(
            f"{table['label']}: a score that is not calibrated needs a private code (scheme 99…)"
        )
    if lower is not None and not float(lower) < threshold:
        raise ValueError(f"{table['label']}: indeterminate_from must lie below the threshold")
    return Decision(
        score=score,
        calibrated=calibrated,
        threshold=threshold,
        indeterminate_from=None if lower is None else float(lower),
    )

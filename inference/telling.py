"""A result in words, the same on a page, in a message and on the command line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from inference.declared import Decision
from inference.findings import Measurement, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that the model looked for.

    Parameters
    ----------
    label
        What it is.
    answer
        ``found``, ``not found``, ``present``, ``absent`` or ``indeterminate``; empty for a mere number.
    values
        Its numbers of the whole, with units; empty when there are none.
    planar
        Its numbers on the key slice.
    """

    label: str
    answer: str
    values: str = ""
    planar: str = ""

    def __str__(self) -> str:
        """Return it in one phrase, the numbers instead of the answer where there are numbers of a segment."""
        parts = [part for part in (self.answer, self.values) if part]
        if self.answer == "found" and self.values:
            parts = [self.values]
        return f"{self.label}: {', '.join(parts)}"


def told(result: Result) -> tuple[Told, ...]:
    """Return what a model found, in the order of its card: segments, answers, places, numbers."""
    return tuple(_told(result))


def _told(result: Result) -> Iterator[Told]:
    for finding in result.findings:
        planar = () if finding.key_slice is None else finding.key_slice.measurements
        yield Told(
            label=finding.segment.label,
            answer="found" if finding.present else "not found",
            values=_numbers(finding.measurements),
            planar=_numbers(planar),
        )
    for answer in result.classifications:
        question = answer.question
        yield Told(
            label=question.label,
            answer=answer.presence.lower(),
            values=scored(question.decision, answer.score),
        )
    for target in result.card.targets:
        places = [one for one in result.detections if one.target == target]
        if not places:
            yield Told(label=target.label, answer="not found")
        for number, place in enumerate(places, start=1):
            yield Told(
                label=f"{target.label} {number}",
                answer="found",
                values=scored(target.decision, place.score),
                planar=_numbers(place.measurements),
            )
    for reading in result.readings:
        quantity = reading.quantity
        unit = "" if quantity.unit.value == "1" else f" {quantity.unit.meaning}"
        yield Told(label=quantity.label, answer="", values=f"{reading.value:g}{unit}")


def _numbers(measurements: Iterable[Measurement]) -> str:
    return ", ".join(
        f"{item.concept.meaning.lower()} {item.value} {item.unit.meaning}" for item in measurements
    )


def scored(decision: Decision, score: float) -> str:
    """Return a score and the threshold that it was held against, in words."""
    return f"{decision.score.meaning.lower()} {score:g} (threshold {decision.threshold:g})"

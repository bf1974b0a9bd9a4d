"""What a report says beside its groups: whom it is about, what is absent, what the model was told."""

from collections.abc import Iterator

from inference.card import Card
from inference.codes import Code
from inference.context import AGE, SEX, Context, ContextValue
from inference.findings import Compared, Result
from inference.results import content
from inference.results.concepts import (
    ABSENT,
    COMMENT,
    PATIENT,
    QUALITATIVE_EVALUATIONS,
    SUBJECT_AGE,
    SUBJECT_CLASS,
    SUBJECT_SEX,
)
from inference.results.content import Item, Relation
from inference.results.parts import PRESENCES, measured, scored
from inference.results.profile import Profile

_HEADER_FEATURES = frozenset({AGE, SEX})
"""Features that stand in the subject context anyway."""


def subject(context: Context) -> list[Item]:
    """Return age and sex at the study as the model was told them (TID 1007, CID 7455, CID 7456)."""
    items = []
    sex, age = context.values.get(SEX), context.values.get(AGE)
    observed = Relation.HAS_OBS_CONTEXT
    if sex is not None and isinstance(sex.value, Code):
        items.append(content.coded(SUBJECT_SEX, sex.value, relation=observed))
    if age is not None and not isinstance(age.value, Code) and age.unit is not None:
        items.append(content.number(SUBJECT_AGE, age.value, age.unit, relation=observed))
    if not items:
        return []
    return [content.coded(SUBJECT_CLASS, PATIENT, relation=observed), *items]


def evaluations(result: Result, profile: Profile) -> Item:
    """Return what is absent, answers of the whole series, and remarks.

    Answers and numbers of the whole series stand here where the profile wants no groups without regions: a
    score and its threshold are then properties of the answer.
    """
    members = [content.coded(what, ABSENT) for what in _absent(result)]
    if not profile.groups_without_regions:
        members += [
            content.coded(
                answer.question.type,
                PRESENCES[answer.presence],
                children=scored(answer.question.decision, answer.score, Relation.HAS_PROPERTIES),
            )
            for answer in result.classifications
        ]
        members += [measured(reading.measurement) for reading in result.readings]
    members += [content.sentence(COMMENT, text) for text in remarks(result, profile)]
    return content.container(QUALITATIVE_EVALUATIONS, members)


def remarks(result: Result, profile: Profile) -> list[str]:
    """Return what is to be known of a result, in sentences that name no patient.

    A laboratory value is told only where the card needs it for interpretation and the profile allows it.
    """
    card, context = result.card, result.context
    told = [standing(card), *result.remarks]
    if card.content_qualification == "RESEARCH":
        told.insert(1, RESEARCH)
    if not context.values:
        told.append("Context from the health record: none.")
    for name, value in context.values.items():
        allowed = profile.laboratory_values and name in card.interpreted_by
        told.append(_used(value, tell=allowed and name not in _HEADER_FEATURES))
    told += [f"Context asked for and not used: {n}, {why}." for n, why in context.missing.items()]
    told += [_earlier(one) for one in result.compared]
    told += [f"Earlier study not compared: {n}, {why}." for n, why in result.not_compared.items()]
    return told


RESEARCH = "RESEARCH: not cleared for diagnosis."
"""What everything says that was made by a model without clearance."""


def standing(card: Card) -> str:
    """Say who answered, and that nobody looked."""
    return f"Made by the model {card.name} {card.version}; not reviewed by a physician."


def _absent(result: Result) -> Iterator[Code]:
    yield from (finding.segment.type for finding in result.findings if not finding.present)
    found = {detection.target for detection in result.detections}
    yield from (target.type for target in result.card.targets if target not in found)


def _earlier(one: Compared) -> str:
    moment = "" if one.study_date is None else f" of {one.study_date}"
    return f"Compared with an earlier {one.modality} series{moment}: {one.prior}."


def _used(value: ContextValue, *, tell: bool) -> str:
    """Say that a value was used, whence and of when; the value itself only where one may `tell` it."""
    code, number = value.concept, ""
    moment = "" if value.effective is None else f", as of {value.effective}"
    if tell:
        number = f": {_in_words(value)}"
    return f"Context used: {code.meaning} ({code.value}, {code.scheme}) from {value.source}{moment}{number}."


def _in_words(value: ContextValue) -> str:
    if isinstance(value.value, Code):
        return value.value.meaning
    unit = "" if value.unit is None else f" {value.unit.value}"
    return f"{value.value:g}{unit}"

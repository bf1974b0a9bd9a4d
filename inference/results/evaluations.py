"""What a report says beside its numbers: whom it is about, what is absent, what the model was told."""

import highdicom as hd

from inference.codes import Code
from inference.context import AGE, SEX, Context, ContextValue
from inference.findings import Result
from inference.results.concepts import (
    ABSENT,
    COMMENT,
    PATIENT,
    QUALITATIVE_EVALUATIONS,
    SUBJECT_AGE,
    SUBJECT_CLASS,
    SUBJECT_SEX,
    concept,
)

_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS
_HAS_OBS_CONTEXT = hd.sr.RelationshipTypeValues.HAS_OBS_CONTEXT


def subject(context: Context) -> list[hd.sr.ContentItem]:
    """Return age and sex at the study as the model was told them (TID 1007, CID 7455, CID 7456)."""
    items: list[hd.sr.ContentItem] = []
    sex, age = context.values.get(SEX), context.values.get(AGE)
    if sex is not None and isinstance(sex.value, Code):
        items.append(
            hd.sr.CodeContentItem(
                name=concept(SUBJECT_SEX),
                value=concept(sex.value),
                relationship_type=_HAS_OBS_CONTEXT,
            )
        )
    if age is not None and not isinstance(age.value, Code) and age.unit is not None:
        items.append(
            hd.sr.NumContentItem(
                name=concept(SUBJECT_AGE),
                value=float(age.value),
                unit=concept(age.unit),
                relationship_type=_HAS_OBS_CONTEXT,
            )
        )
    if not items:
        return []
    subject_class = hd.sr.CodeContentItem(
        name=concept(SUBJECT_CLASS),
        value=concept(PATIENT),
        relationship_type=_HAS_OBS_CONTEXT,
    )
    return [subject_class, *items]


def evaluations(result: Result) -> hd.sr.ContainerContentItem:
    """Return what is absent, and remarks on the model's standing and on the context it had."""
    container = hd.sr.ContainerContentItem(
        name=concept(QUALITATIVE_EVALUATIONS), relationship_type=_CONTAINS
    )
    absent = [
        hd.sr.CodeContentItem(
            name=concept(finding.segment.type),
            value=concept(ABSENT),
            relationship_type=_CONTAINS,
        )
        for finding in result.findings
        if not finding.present
    ]
    remarks = [
        hd.sr.TextContentItem(name=concept(COMMENT), value=text, relationship_type=_CONTAINS)
        for text in _remarks(result)
    ]
    container.ContentSequence = hd.sr.ContentSequence([*absent, *remarks])
    return container


def _remarks(result: Result) -> list[str]:
    card = result.card
    remarks = [f"Made by the model {card.name} {card.version}; not reviewed by a physician."]
    if card.content_qualification == "RESEARCH":
        remarks.append("RESEARCH: not cleared for diagnosis.")
    context = result.context
    if not context.values:
        remarks.append("Context from the health record: none.")
    remarks += [_used(value) for value in context.values.values()]
    remarks += [
        f"Context asked for and not used: {n}, {why}." for n, why in context.missing.items()
    ]
    return remarks


def _used(value: ContextValue) -> str:
    """Say that a value was used, whence and of when; the value itself is not told here."""
    code = value.concept
    moment = "" if value.effective is None else f", as of {value.effective}"
    return (
        f"Context used: {code.meaning} ({code.value}, {code.scheme}) from {value.source}{moment}."
    )

"""What the items of a report are made of: who found it, where, and its numbers."""

from inference.card import Card
from inference.codes import Code
from inference.declared import Decision
from inference.findings import Classification, Detection, Finding, Measurement, Presence, Reading
from inference.results import content
from inference.results.concepts import (
    ABSENT,
    ALGORITHM_FAMILY,
    ALGORITHM_MANUFACTURER,
    ALGORITHM_NAME,
    ALGORITHM_PARAMETERS,
    ALGORITHM_VERSION,
    ARTIFICIAL_INTELLIGENCE,
    DERIVATION,
    FINDING_SITE,
    INDETERMINATE,
    LATERALITY,
    MEASUREMENT_METHOD,
    NO_UNITS,
    PRESENT,
    THRESHOLD,
    TRACKING_IDENTIFIER,
    TRACKING_UID,
    UNIT_RANGE,
)
from inference.results.content import Item, Relation

PRESENCES = {
    Presence.PRESENT: PRESENT,
    Presence.ABSENT: ABSENT,
    Presence.INDETERMINATE: INDETERMINATE,
}
"""The answers to a question, coded."""


def tracked(finding: Finding | Detection | Classification | Reading) -> list[Item]:
    """Return the name of a finding and its UID (TID 4108)."""
    context = Relation.HAS_OBS_CONTEXT
    return [
        content.sentence(TRACKING_IDENTIFIER, finding.tracking_identifier, relation=context),
        content.uid(TRACKING_UID, finding.tracking_uid, relation=context),
    ]


def sites(site: Code | None, laterality: Code | None = None) -> list[Item]:
    """Return where it lies, with the side; nothing when its type says that."""
    if site is None:
        return []
    mod = Relation.HAS_CONCEPT_MOD
    side = [] if laterality is None else [content.coded(LATERALITY, laterality, relation=mod)]
    return [content.coded(FINDING_SITE, site, relation=mod, children=side)]


def algorithm(card: Card) -> list[Item]:
    """Return who found it (TID 4019)."""
    mod = Relation.HAS_CONCEPT_MOD
    told = (
        (ALGORITHM_NAME, card.name),
        (ALGORITHM_VERSION, card.version),
        (ALGORITHM_MANUFACTURER, card.manufacturer),
        (ALGORITHM_PARAMETERS, f"weights_sha256={card.weights_digest}"),
    )
    return [
        *(content.sentence(name, value, relation=mod) for name, value in told),
        content.coded(ALGORITHM_FAMILY, ARTIFICIAL_INTELLIGENCE, relation=mod),
    ]


def scored(decision: Decision, score: float, relation: Relation) -> list[Item]:
    """Return a score and the threshold that it was held against."""
    unit = UNIT_RANGE if decision.calibrated else NO_UNITS
    return [
        content.number(decision.score, score, unit, relation=relation),
        content.number(THRESHOLD, decision.threshold, unit, relation=relation),
    ]


def measured(measurement: Measurement) -> Item:
    """Return a number with its method and its derivation (TID 300, TID 1419)."""
    modifiers = [
        content.coded(name, value, relation=Relation.HAS_CONCEPT_MOD)
        for name, value in (
            (MEASUREMENT_METHOD, measurement.method),
            (DERIVATION, measurement.derivation),
        )
        if value is not None
    ]
    return content.number(
        measurement.concept,
        measurement.value,
        measurement.unit,
        children=modifiers,
    )

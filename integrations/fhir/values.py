"""From one resource of the record to one value, or the reason why it gives none."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from integrations.context import Question
from integrations.fhir.coding import SYSTEMS, UCUM
from integrations.fhir.elements import many, one, source, text
from integrations.fhir.kinds import KINDS
from integrations.fhir.moments import read
from integrations.fhir.ucum import convert
from integrations.fhir.wire import Resource
from integrations.report import Coding, UsedValue

_ACT = "http://terminology.hl7.org/CodeSystem/v3-Act"
_SCHEMES = {uri: scheme for scheme, uri in SYSTEMS.items()} | {
    f"{_ACT}Code": "ActCode",
    f"{_ACT}Priority": "ActPriority",
    "http://hl7.org/fhir/sid/icd-10": "I10",
    "http://hl7.org/fhir/sid/icd-10-cm": "I10C",
}
"""Coding scheme designators (PS3.16 Table 8-1, HL7 v2 Table 0396) of the systems that values come in."""

_PRIORITIES = {
    "routine": Coding("R", "ActPriority", "routine"),
    "urgent": Coding("UR", "ActPriority", "urgent"),
    "asap": Coding("A", "ActPriority", "ASAP"),
    "stat": Coding("S", "ActPriority", "stat"),
}
"""RequestPriority (FHIR R4) in the codes of v3 ActPriority, which have a designator."""

_PRESENT = Coding("52101004", "SCT", "Present")


def answer(feature: str, question: Question, resource: Resource) -> UsedValue | str:
    """Give the value, or its reason: ``NO-VALUE``, ``VALUE-BOUNDED``, ``UNIT-NOT-KNOWN``, ``CODE-NOT-KNOWN``.

    Parameters
    ----------
    resource
        One that answers: its code, its patient and its time have been looked at.
    """
    found = _value(question, resource)
    if isinstance(found, str):
        return found
    value, coded = found
    moment = KINDS[question.resource].moment(resource) if question.resource in KINDS else None
    authored = text(resource, "authoredOn") if question.resource == "ServiceRequest" else ""
    return UsedValue(
        feature=feature,
        concept=question.concept,
        value=value,
        unit=Coding(question.unit, "UCUM", question.unit) if question.unit else None,
        source=source(resource),
        effective=moment.text if moment is not None else authored or None,
        coded=coded,
    )


def covers(encounter: Resource, at: date | datetime) -> bool:
    """Whether an encounter had begun at the study's time and was not over."""
    period = one(encounter, "period")
    begun, over = read(text(period, "start")), read(text(period, "end"))
    # an encounter may begin on the day of a study that has no time: it is no result of it
    same_day = begun is not None and not isinstance(at, datetime) and begun.day == at
    return (
        begun is not None
        and (begun.is_before(at) or same_day)
        and not (over is not None and over.is_before(at))
    )


def _value(question: Question, resource: Resource) -> tuple[str, Coding | None] | str:
    match question.resource:
        case "Observation" if question.unit is not None:
            return _number(question, _holder(question, resource))
        case "Observation":
            return _coded(one(_holder(question, resource), "valueCodeableConcept"))
        case "Encounter":
            return _of_coding(one(resource, "class")) or "CODE-NOT-KNOWN"
        case "ServiceRequest" if question.element == "reason":
            return _coded(next(iter(many(resource, "reasonCode")), {}))
        case "ServiceRequest":
            known = _PRIORITIES.get(text(resource, "priority"))
            return (known.value, known) if known is not None else "NO-VALUE"
        case _:
            return _PRESENT.value, _PRESENT


def _holder(question: Question, observation: Resource) -> Resource:
    """Return the Observation itself, or the component of a panel that is asked for."""
    kind = KINDS["Observation"]
    if kind.has_code(observation, question.codes):
        return observation
    parts = many(observation, "component")
    return next((part for part in parts if kind.has_code(part, question.codes)), {})


def _number(question: Question, holder: Resource) -> tuple[str, None] | str:
    quantity = one(holder, "valueQuantity")
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return "NO-VALUE"
    if text(quantity, "comparator"):
        # below or above a bound is not the bound
        return "VALUE-BOUNDED"
    if text(quantity, "system") != UCUM or not question.unit:
        return "UNIT-NOT-KNOWN"
    mass = question.molar_mass_g_mol
    try:
        return convert(Decimal(value), text(quantity, "code"), question.unit, mass), None
    except ValueError:
        return "UNIT-NOT-KNOWN"


def _coded(concept: Resource) -> tuple[str, Coding] | str:
    found = [_of_coding(item) for item in many(concept, "coding")]
    if not found:
        return "NO-VALUE"
    return next((one for one in found if one is not None), "CODE-NOT-KNOWN")


def _of_coding(coding: Mapping[str, object]) -> tuple[str, Coding] | None:
    """Read a coding of a system that has a designator."""
    code, scheme = text(coding, "code"), _SCHEMES.get(text(coding, "system"))
    if not code or scheme is None:
        return None
    return code, Coding(code, scheme, text(coding, "display") or code)

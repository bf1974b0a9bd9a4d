"""What a model's card says of the features that it wants of the patient's record."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from inference.codes import Code
from inference.declared import code

OWN = frozenset({"age", "sex"})
"""Features of the patient, which a card needs not describe."""

RESOURCES = frozenset({
    *("Observation", "Condition", "AllergyIntolerance", "MedicationRequest", "MedicationStatement"),
    *("Procedure", "Encounter", "ServiceRequest", "DiagnosticReport", "ImagingStudy"),
})
"""FHIR R4 resource types that a feature can be read from."""

WITHOUT_CODES = frozenset({"Encounter", "ServiceRequest"})
"""Those of them that need no code: the encounter and the order that the study belongs to."""

SYSTEMS = {
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
}
"""Designators that may stand for their URI in a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A feature that a card describes.

    Parameters
    ----------
    name
        By which the card's ``wants`` and the model know it.
    concept
        What it is, in results.
    resource
        FHIR R4 resource type that knows it.
    codes, panels
        Codes that answer, and codes of Observations that have the answer among their components: each a
        system's URI and a code.
    element
        Of a ServiceRequest: ``priority`` or ``reason``.
    unit
        UCUM unit in which the model wants a number; None for a coded value.
    molar_mass_g_mol
        Of the substance, where mass and amount may be exchanged.
    maximum_age_days
        How long before the study it may hold; None for any time.
    """

    name: str
    concept: Code
    resource: str
    codes: tuple[tuple[str, str], ...]
    panels: tuple[tuple[str, str], ...]
    element: str | None
    unit: str | None
    molar_mass_g_mol: Decimal | None
    maximum_age_days: float | None


def features(context: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """Read the features of a card's ``[context]``.

    Raises
    ------
    KeyError
        A key is missing.
    ValueError
        One is wrong, or a feature is wanted and not described.
    """
    found = tuple(map(_feature, context.get("feature", ())))
    names = [one.name for one in found]
    undescribed = set(context.get("wants", ())) - OWN - set(names)
    if undescribed:
        raise ValueError(
            f"context.wants: no [[context.feature]] describes {', '.join(sorted(undescribed))}"
        )
    if len(set(names)) < len(names) or set(names) & OWN:
        raise ValueError("no two features have one name, and age and sex need no description")
    return found


def _feature(table: Mapping[str, Any]) -> Wanted:
    name, resource = str(table["name"]), str(table["resource"])
    codes, element = _codes(table.get("codes", ())), table.get("element")
    unit, age = table.get("unit"), table.get("maximum_age_days")
    wrong = {
        f"resource must be one of {', '.join(sorted(RESOURCES))}": resource not in RESOURCES,
        "codes names at least one code": not codes and resource not in WITHOUT_CODES,
        "element must be priority or reason": resource == "ServiceRequest"
        and element not in {"priority", "reason"},
        "unit and panels are an Observation's": resource != "Observation"
        and bool(unit or table.get("panels")),
        "an Observation needs maximum_age_days": resource == "Observation" and age is None,
        "maximum_age_days is a number above 0": age is not None and not 0 < float(age) < 1e5,
    }
    faults = [fault for fault, is_wrong in wrong.items() if is_wrong]
    if faults:
        raise ValueError(f"context.feature {name}: {'; '.join(faults)}")
    return Wanted(
        name=name,
        concept=code(table["concept"]),
        resource=resource,
        codes=codes,
        panels=_codes(table.get("panels", ())),
        element=element,
        unit=unit,
        molar_mass_g_mol=_molar_mass(table.get("molar_mass_g_mol")),
        maximum_age_days=None if age is None else float(age),
    )


def _molar_mass(value: object) -> Decimal | None:
    try:
        mass = None if value is None else Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError("molar_mass_g_mol is a number") from error
    if mass is not None and not 0 < mass < Decimal("1e7"):
        raise ValueError("molar_mass_g_mol is a number above 0")
    return mass


def _codes(written: object) -> tuple[tuple[str, str], ...]:
    """Read ``"LN|2160-0"`` or ``"http://loinc.org|2160-0"``.

    Raises
    ------
    TypeError
        It is no list.
    ValueError
        One of them is no code.
    """
    if not isinstance(written, list | tuple):
        raise TypeError("codes is a list")
    pairs = [str(one).rpartition("|") for one in written]
    if not all(system and value for system, _, value in pairs):
        raise ValueError("a code is written as SYSTEM|CODE")
    return tuple((SYSTEMS.get(system, system), value) for system, _, value in pairs)

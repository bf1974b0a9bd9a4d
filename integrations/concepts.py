"""The concepts in which a report is told, whatever the protocol: those of the structured report."""

from collections.abc import Mapping

from integrations.report import Coding

FINDING = Coding("121071", "DCM", "Finding")
FINDING_SITE = Coding("363698007", "SCT", "Finding Site")
LATERALITY = Coding("272741003", "SCT", "Laterality")
DERIVATION = Coding("121401", "DCM", "Derivation")
MEASUREMENT_GROUP = Coding("125007", "DCM", "Measurement Group")
THRESHOLD = Coding("threshold", "99OVERREAD", "Operating threshold")
ALGORITHM_NAME = Coding("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Coding("111003", "DCM", "Algorithm Version")
STUDY_INSTANCE_UID = Coding("110180", "DCM", "Study Instance UID")
IMPRESSION = Coding("19005-8", "LN", "Radiology Imaging study [Impression]")
IMAGING_REPORT = Coding("18748-4", "LN", "Diagnostic imaging study")

PRESENT = Coding("52101004", "SCT", "Present")
INDETERMINATE = Coding("82334004", "SCT", "Indeterminate")
ABSENT = Coding("272519000", "SCT", "Absent")
"""As the structured report has it (PS3.16 CID 240)."""
PRESENCES: Mapping[bool | None, Coding] = {True: PRESENT, False: ABSENT, None: INDETERMINATE}

_UCUM_SPELLING = {"ml": "mL", "l": "L"}
"""UCUM allows both letters for the litre; FHIR's and LOINC's own texts use the capital one."""


def ucum_code(unit: Coding) -> str:
    """Spell a UCUM code as FHIR and LOINC do."""
    return _UCUM_SPELLING.get(unit.value, unit.value)

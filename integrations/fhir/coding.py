"""DICOM's codes, identifiers and times in the words of FHIR."""

import uuid
from datetime import date, datetime
from decimal import Decimal

from integrations.concepts import ucum_code
from integrations.fhir.wire import Resource
from integrations.report import Coding

UCUM = "http://unitsofmeasure.org"

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": UCUM,
    "RADLEX": "http://radlex.org",
    "RADELEMENT": "http://radelement.org",
    "FMA": "http://purl.org/sig/ont/fma",
}
"""Coding scheme designators (PS3.16 Table 8-1) and the URIs that FHIR and DICOM give them."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
AI_ASSERTED: Resource = {
    "system": f"{_TERMINOLOGY}/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
AI_DEVICE: Resource = {
    "system": "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS",
    "code": "Artificial-Intelligence",
    "display": "All kinds of Artificial Intelligence",
}
IMAGING: Resource = {
    "system": f"{_TERMINOLOGY}/observation-category",
    "code": "imaging",
    "display": "Imaging",
}
RADIOLOGY: Resource = {
    "system": f"{_TERMINOLOGY}/v2-0074",
    "code": "RAD",
    "display": "Radiology",
}
ACCESSION: Resource = {"system": f"{_TERMINOLOGY}/v2-0203", "code": "ACSN"}
AUTHOR: Resource = {
    "system": f"{_TERMINOLOGY}/provenance-participant-type",
    "code": "author",
    "display": "Author",
}
CREATE: Resource = {"system": f"{_TERMINOLOGY}/v3-DataOperation", "code": "CREATE"}
UPDATE: Resource = {"system": f"{_TERMINOLOGY}/v3-DataOperation", "code": "UPDATE"}
_INTERPRETATION = f"{_TERMINOLOGY}/v3-ObservationInterpretation"
POSITIVE: Resource = {"system": _INTERPRETATION, "code": "POS", "display": "Positive"}
NEGATIVE: Resource = {"system": _INTERPRETATION, "code": "NEG", "display": "Negative"}
UNDECIDED: Resource = {"system": _INTERPRETATION, "code": "IND", "display": "Indeterminate"}
CRITICAL: Resource = {"system": _INTERPRETATION, "code": "AA", "display": "Critical abnormal"}
CLINICAL: Resource = {
    "system": f"{_TERMINOLOGY}/flag-category",
    "code": "clinical",
    "display": "Clinical",
}
ALERT: Resource = {
    "system": f"{_TERMINOLOGY}/communication-category",
    "code": "alert",
    "display": "Alert",
}

UID_SYSTEM = "urn:dicom:uid"
"""System of an identifier that is a DICOM UID (FHIR R4 ImagingStudy.identifier)."""


def codeable_concept(coding: Coding, *, text: str | None = None) -> Resource:
    """Write a concept, with `text` where people should read something else than its meaning.

    A private scheme (``99...``, PS3.3 8.2) has no URI, and a code without its system could be anybody's: of
    such a concept only the text is written.
    """
    concept: Resource = {"text": text or coding.meaning}
    return {"coding": [fhir_coding(coding)], **concept} if coding.scheme in SYSTEMS else concept


def fhir_coding(coding: Coding) -> Resource:
    """Write one code of a scheme that has a URI.

    Raises
    ------
    KeyError
        The scheme has none.
    """
    return {"system": SYSTEMS[coding.scheme], "code": coding.value, "display": coding.meaning}


def dicom_code(value: str) -> Resource:
    """Write a code of DICOM of which we know no more than the code: a meaning would have to be DICOM's."""
    return {"system": SYSTEMS["DCM"], "code": value}


def quantity(value: str, unit: Coding) -> Resource:
    """Write a number with its unit: always with system and code, and with the digits that were meant."""
    code = ucum_code(unit)
    return {"value": Decimal(value), "unit": code, "system": UCUM, "code": code}


def dicom_identifier(uid: str) -> Resource:
    """Write a DICOM UID as an identifier (FHIR R4 ImagingStudy.identifier)."""
    return {"system": UID_SYSTEM, "value": f"urn:oid:{uid}"}


def full_url(identifier: Resource) -> str:
    """Name a resource inside a transaction bundle, the same at every call."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identifier['value'])}"


def date_time(value: date | datetime) -> str:
    """Write a FHIR dateTime: a time only together with its offset, else the date alone."""
    if isinstance(value, datetime):
        return value.isoformat() if value.utcoffset() is not None else value.date().isoformat()
    return value.isoformat()


def instant(value: datetime) -> str:
    """Write a FHIR instant.

    Raises
    ------
    ValueError
        The time has no offset, so it is no instant.
    """
    if value.utcoffset() is None:
        raise ValueError("an instant needs an offset from UTC")
    return value.isoformat(timespec="milliseconds")

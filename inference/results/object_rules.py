"""Rules for every object: whose it is, who made it, what it references."""

import re
from collections.abc import Iterator

from pydicom import Dataset

from inference.results.charset import UNICODE
from inference.results.concepts import PROCESSING_EQUIPMENT
from inference.results.examined import Examined, Origin, identifying
from inference.results.headers import decoded, private_schemes
from inference.results.modules import IDENTITY, PATIENT, STUDY

QUALIFICATIONS = frozenset({"RESEARCH", "PRODUCT", "SERVICE"})

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_REPLACEMENT = "\ufffd"


def object_faults(item: Examined, source: Origin, others: tuple[Examined, ...]) -> Iterator[str]:
    """Say what is wrong with one object of a result.

    Parameters
    ----------
    others
        The other objects of the result.
    """
    dataset = item.dataset
    yield from _identity_faults(dataset, source)
    yield from _label_faults(item)
    yield from _equipment_faults(dataset)
    yield from _uid_faults(item)
    yield from _reference_faults(dataset, source, others)


def _identity_faults(dataset: Dataset, source: Origin) -> Iterator[str]:
    ours = decoded(dataset, IDENTITY)
    for keyword in IDENTITY:
        theirs = source.identities[keyword]
        if len(theirs) > 1:
            yield f"the source's instances differ in {keyword}"
        elif theirs != {identifying(ours, keyword)}:
            yield f"{keyword} is not the source's"
        if _REPLACEMENT in identifying(ours, keyword):
            yield f"{keyword} lost characters when it was decoded"


def _label_faults(item: Examined) -> Iterator[str]:
    dataset = item.dataset
    if dataset.get("SpecificCharacterSet") != UNICODE:
        yield f"Specific Character Set is not {UNICODE}"
    if dataset.get("ContentQualification") not in QUALIFICATIONS:
        yield "Content Qualification (0018,9004) is missing"
    description = str(dataset.get("SeriesDescription", ""))
    if not description.startswith("AI ") or len(description) > 64:
        yield "Series Description does not say that a machine made it, within 64 characters"
    declared = {
        str(scheme.CodingSchemeDesignator)
        for scheme in dataset.get("CodingSchemeIdentificationSequence") or []
    }
    for scheme in sorted(private_schemes(item.elements) - declared):
        yield f"the private coding scheme {scheme} is not declared"


def _equipment_faults(dataset: Dataset) -> Iterator[str]:
    """IHE RAD AIR 6.5.3.1: each algorithm is an item of Contributing Equipment Sequence."""
    for item in dataset.get("ContributingEquipmentSequence") or []:
        purposes = item.get("PurposeOfReferenceCodeSequence") or []
        if any(code.CodeValue == PROCESSING_EQUIPMENT.value for code in purposes) and all(
            item.get(keyword)
            for keyword in (
                "Manufacturer",
                "ManufacturerModelName",
                "SoftwareVersions",
                "DeviceUID",
            )
        ):
            return
    yield "no Contributing Equipment item names the model with its Device UID"


def _uid_faults(item: Examined) -> Iterator[str]:
    wrong = {
        element.keyword
        for element in item.elements
        if element.VR == "UI" and not all(_is_uid(value) for value in _values(element.value))
    }
    for keyword in sorted(wrong):
        yield f"{keyword} holds no valid UID (PS3.5 9.1)"
    if item.dataset.file_meta.MediaStorageSOPInstanceUID != item.dataset.SOPInstanceUID:
        yield "the file's name for the instance is not its SOP Instance UID"


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def _values(value: object) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]  # type: ignore[attr-defined] # MultiValue


def _reference_faults(
    dataset: Dataset, source: Origin, others: tuple[Examined, ...]
) -> Iterator[str]:
    known = dict(source.sop_classes)
    known |= {str(o.dataset.SOPInstanceUID): str(o.dataset.SOPClassUID) for o in others}
    unknown, misnamed = 0, 0
    for uid, sop_class in set(_references(dataset)):
        unknown += uid not in known
        misnamed += uid in known and known[uid] != sop_class
    if unknown:
        yield f"{unknown} referenced instances are neither of the source nor of the result"
    if misnamed:
        yield f"{misnamed} references name another SOP class than the instance has"


def _references(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Every instance that the object itself references; what it copied of the study is the study's.

    A predecessor and what was compared with are neither of the source nor of the result; `report_rules` looks
    at them.
    """
    elsewhere = {"PredecessorDocumentsSequence", "PertinentOtherEvidenceSequence"}
    copied = {*PATIENT, *STUDY, *elsewhere}
    for element in dataset:
        if element.VR == "SQ" and element.keyword not in copied:
            for item in element.value:
                if "ReferencedSOPInstanceUID" in item:
                    sop_class = str(item.get("ReferencedSOPClassUID", ""))
                    yield str(item.ReferencedSOPInstanceUID), sop_class
                yield from _references(item)

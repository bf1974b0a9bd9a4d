"""What a result takes over from its source, and what it says of its makers.

Patient and study are those of the source, value for value. highdicom copies the source's character set
with its values and refuses several common ones, so it is given a stand-in without a patient, and every
finished object is dressed with the decoded identity here.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from inference.card import Card
from inference.results.charset import UNICODE, decode
from inference.results.concepts import OWN_SCHEME, PROCESSING_EQUIPMENT, coded
from inference.results.modules import PATIENT, STUDY, TYPE_2
from inference.results.objects import SERIES_OFFSET, Kind, ResultRequest
from inference.uids import derived_uid

CHARACTER_SET_TAG = 0x00080005
NOT_RUN = "did not run"
"""How the Series Description of a notice ends."""
_ONE_TEXT = frozenset({"ST", "LT", "UT"})
_STRINGS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"} | _ONE_TEXT
)


def identity(header: Dataset) -> Dataset:
    """Return patient and study of `header`, decoded, with every Type 2 attribute present."""
    known = decoded(header, (*PATIENT, *STUDY))
    for keyword in TYPE_2:
        if keyword not in known:
            setattr(known, keyword, "")
    return known


def decoded(header: Dataset, keywords: Iterable[str]) -> Dataset:
    """Return the named attributes of `header`, their text decoded whatever its character set.

    Values are taken as they are, also where they break the rules of their VR: an identity that was
    mended is another identity. Numbers that cannot be read at all are left out.
    """
    tags = (BaseTag(tag) for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None)
    return _decoded(header, tags, ())


def _decoded(header: Dataset, tags: Iterable[BaseTag], inherited: Sequence[str]) -> Dataset:
    character_set = _character_set(header, inherited)
    result = Dataset()
    for tag in tags:
        if tag in header and tag != CHARACTER_SET_TAG and dictionary_has_tag(tag):
            element = _element(header, tag, character_set)
            if element is not None:
                result.add(element)
    return result


def _character_set(header: Dataset, inherited: Sequence[str]) -> Sequence[str]:
    named = header.get("SpecificCharacterSet")
    if named is None:
        return inherited
    return [named] if isinstance(named, str) else [str(term or "") for term in named]


def _element(header: Dataset, tag: BaseTag, character_set: Sequence[str]) -> DataElement | None:
    raw = header.get_item(tag)
    vr = dictionary_VR(tag) if raw.VR in {None, "UN"} else raw.VR
    if vr in _STRINGS:
        # Never by pydicom's own conversion: it loses what it cannot decode, and tells values to the log.
        text = _text(raw, character_set, person_name=vr == "PN")
        values = [text] if vr in _ONE_TEXT else text.split("\\")
        try:
            value = values[0] if len(values) == 1 else values
            return DataElement(tag, vr, value, validation_mode=IGNORE)
        except (ValueError, OverflowError):
            return None  # a number that is none; all numbers of our modules are Type 3
    element = header[tag]
    if element.VR == "SQ":
        items = [_decoded(item, item.keys(), character_set) for item in element.value]
        return DataElement(tag, "SQ", items)
    return DataElement(tag, element.VR, element.value, validation_mode=IGNORE)


def _text(
    raw: RawDataElement | DataElement, character_set: Sequence[str], *, person_name: bool
) -> str:
    value = raw.value
    if isinstance(value, bytes):
        return decode(value, character_set, person_name=person_name)
    if isinstance(value, PersonName | str):
        return str(value).rstrip("\0 ")
    return "" if value is None else "\\".join(str(item) for item in value)


def named(header: Dataset) -> Dataset:
    """Return the UIDs that name an instance, its series and its study, and nothing else."""
    result = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"):
        # A new element: one that is shared would change in the source with the stand-in.
        result.add(DataElement(header[keyword].tag, "UI", header[keyword].value))
    return result


def stand_in(header: Dataset) -> Dataset:
    """Return the least that highdicom needs of a source: its names, no patient, no image attributes."""
    result = named(header)
    for keyword in TYPE_2:
        setattr(result, keyword, "")
    result.Modality = str(header.get("Modality", "OT"))
    result.SpecificCharacterSet = UNICODE
    return result


def series_uid(header: Dataset, card: Card, kind: Kind, request: ResultRequest) -> str:
    """Return the Series Instance UID that belongs to source series, model, kind, request, revision and form."""
    return derived_uid(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        card.device_uid,
        kind,
        str(request.request_number),
        str(request.revision),
        *([request.form] if request.form else []),
        root=request.uid_root,
    )


def series_description(card: Card, kind: Kind, revision: int) -> str:
    """Return the Series Description (LO, 64 characters): who answered, what it is, and that nobody looked."""
    end = f" {kind} (unreviewed)" + (f" rev {revision}" if revision else "")
    return f"AI {card.short_name} {card.version}"[: 64 - len(end)] + end


def notice_description(card: Card) -> str:
    """Return the Series Description of a notice: lists of series show it beside those of results."""
    end = f" {NOT_RUN}"
    return f"AI {card.short_name} {card.version}"[: 64 - len(end)] + end


def series_number(request: ResultRequest, kind: Kind) -> int:
    """Return the Series Number of one kind of object."""
    return request.first_series_number + SERIES_OFFSET[kind]


def dress(
    dataset: Dataset,
    source: Dataset,
    card: Card,
    request: ResultRequest,
    kind: Kind,
    *,
    schemes: Iterable[str] = (),
) -> None:
    """Give a finished object its identity, its makers and its times.

    Parameters
    ----------
    dataset
        The object; whatever it says of patient, study, equipment and times is replaced.
    source
        The identity, as `identity` returns it.
    schemes
        Coding schemes that the object uses where `dataset` does not show them yet.
    """
    for keyword in (*PATIENT, *STUDY):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.update(source)
    dataset.SpecificCharacterSet = UNICODE
    dataset.SeriesDescription = series_description(card, kind, request.revision)
    dataset.ContentQualification = card.content_qualification
    equipment = request.equipment
    dataset.Manufacturer = equipment.manufacturer
    dataset.ManufacturerModelName = equipment.model_name
    dataset.DeviceSerialNumber = equipment.device_serial_number
    dataset.SoftwareVersions = list(equipment.software_versions)
    dataset.ContributingEquipmentSequence = [contributing_equipment(card)]
    _declare_private_codes(dataset, card, schemes)
    moment = _in_zone_of(source, request.created)
    for event in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{event}Date", moment.strftime("%Y%m%d"))
        setattr(dataset, f"{event}Time", moment.strftime("%H%M%S.%f"))


def copy_body_part(dataset: Dataset, header: Dataset) -> None:
    """Say which part of the body it is, or that its side is not known (PS3.3 C.7.3.1, Laterality is 2C)."""
    part = decoded(header, ["BodyPartExamined"]).get("BodyPartExamined")
    if part:
        dataset.BodyPartExamined = part
    else:
        dataset.Laterality = decoded(header, ["Laterality"]).get("Laterality", "")


def contributing_equipment(card: Card) -> Dataset:
    """Return the model's item of Contributing Equipment Sequence (0018,A001), IHE RAD AIR 6.5.3.1."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(PROCESSING_EQUIPMENT)]
    item.Manufacturer = card.manufacturer
    item.ManufacturerModelName = card.name
    item.SoftwareVersions = card.version
    item.DeviceUID = card.device_uid
    return item


def private_schemes(elements: Iterable[DataElement]) -> set[str]:
    """Return the designators of all private coding schemes that `elements` use (PS3.3 8.2)."""
    return {
        str(element.value)
        for element in elements
        if element.keyword == "CodingSchemeDesignator" and str(element.value).startswith("99")
    }


def _declare_private_codes(dataset: Dataset, card: Card, schemes: Iterable[str]) -> None:
    """Say whose the private schemes are: Coding Scheme Identification Sequence (0008,0110)."""
    items = []
    used = private_schemes(dataset.iterall()) | {one for one in schemes if one.startswith("99")}
    for scheme in sorted(used):
        item = Dataset()
        item.CodingSchemeDesignator = scheme
        item.CodingSchemeResponsibleOrganization = (
            dataset.Manufacturer if scheme == OWN_SCHEME else card.manufacturer
        )
        items.append(item)
    if items:
        dataset.CodingSchemeIdentificationSequence = items


def _in_zone_of(source: Dataset, moment: datetime) -> datetime:
    """Express `moment` in the source's zone where it names one: (0008,0201) holds for all our times."""
    offset = str(source.get("TimezoneOffsetFromUTC", ""))
    if len(offset) != 5 or not offset[1:].isdigit():
        return moment
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return moment.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from inference.results import headers
from inference.results.objects import Kind
from tests.unit.inference_results.studies import BRAIN, REQUEST, card


def test_what_the_source_lacks_stands_there_empty() -> None:
    known = headers.identity(Dataset())
    assert known.PatientName == ""
    assert known.AccessionNumber == ""
    assert "IssuerOfPatientID" not in known


def test_a_wrong_value_is_not_mended() -> None:
    header = Dataset()
    _put(header, "PatientSex", "CS", b"male")
    _put(header, "PatientBirthDate", "DA", b"1970")
    _put(header, "PatientWeight", "DS", b"heavy ")
    known = headers.identity(header)
    assert (known.PatientSex, known.PatientBirthDate) == ("male", "1970")
    assert "PatientWeight" not in known


def test_text_within_sequences_is_decoded_too() -> None:
    item = Dataset()
    _put(item, "PatientID", "LO", "Zürich-1".encode("latin-1"))
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.OtherPatientIDsSequence = [item]
    assert headers.identity(header).OtherPatientIDsSequence[0].PatientID == "Zürich-1"


@pytest.mark.parametrize(
    ("version", "revision", "expected"),
    [
        ("1.0.2", 0, "AI BrainExtr 1.0.2 SEG (unreviewed)"),
        ("1.0.2", 3, "AI BrainExtr 1.0.2 SEG (unreviewed) rev 3"),
        ("1" * 80, 3, "AI BrainExtr " + "1" * 28 + " SEG (unreviewed) rev 3"),
    ],
)
def test_a_series_says_who_answered_and_that_nobody_looked(
    version: str, revision: int, expected: str
) -> None:
    model = replace(card(BRAIN), version=version)
    description = headers.series_description(model, Kind.SEG, revision)
    assert description == expected
    assert len(description) <= 64


@pytest.mark.parametrize(
    ("offset", "expected"),
    [("+0930", "20261016 080000"), ("-0500", "20261015 173000"), ("", "20261015 223000")],
)
def test_times_are_told_in_the_zone_of_the_source(offset: str, expected: str) -> None:
    source, dataset = Dataset(), Dataset()
    source.TimezoneOffsetFromUTC = offset
    request = replace(REQUEST, created=datetime(2026, 10, 15, 22, 30, tzinfo=UTC))
    headers.dress(dataset, source, card(BRAIN), request, Kind.SR)
    assert f"{dataset.ContentDate} {dataset.ContentTime[:6]}" == expected


def test_private_codes_are_declared_with_whose_they_are() -> None:
    dataset, code = Dataset(), Dataset()
    code.CodingSchemeDesignator = "99MODEL"
    dataset.ConceptNameCodeSequence = [code]
    headers.dress(dataset, Dataset(), card(BRAIN), REQUEST, Kind.SR)
    assert [
        (item.CodingSchemeDesignator, item.CodingSchemeResponsibleOrganization)
        for item in dataset.CodingSchemeIdentificationSequence
    ] == [("99MODEL", "Overread Phantoms")]


def _put(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Add an element as a file gives it, before anybody looked at its value."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    dataset[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

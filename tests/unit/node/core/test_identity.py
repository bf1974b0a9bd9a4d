from typing import Any

import pytest

from node.core.identity import compare

SOURCE = {
    "PatientID": "OVR-42",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientBirthDate": "19630704",
    "PatientSex": "M",
    "AccessionNumber": "A-1",
}


def differing(archive: dict[str, str], **source: Any) -> tuple[str, ...]:
    return compare({**SOURCE, **source}, {**SOURCE, **archive}).differing


def test_the_same_is_the_same() -> None:
    compared = compare(SOURCE, SOURCE)
    assert (compared.differing, compared.skipped) == ((), ())


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "OVR-43"),
        ("PatientID", "ovr-42"),
        ("IssuerOfPatientID", "CLINIC"),
        ("PatientBirthDate", "19630705"),
        ("PatientSex", "F"),
        ("AccessionNumber", "A-2"),
        ("PatientName", "Yamada^Jirou=山田^太郎=やまだ^たろう"),
        ("PatientName", "YAMADA^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_another_value_is_named_without_it(keyword: str, value: str) -> None:
    assert differing({keyword: value}) == (keyword,)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Yamada^Tarou=山田^次郎=やまだ^たろう", "PatientName (ideographic)"),
        ("Yamada^Tarou=山田^太郎=やまだ^じろう", "PatientName (phonetic)"),
    ],
)
def test_each_group_of_a_name_is_compared(name: str, group: str) -> None:
    assert differing({"PatientName": name}) == (group,)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Doe^John", "Doe^John "),
        ("Doe^John", "Doe^John^^^"),
        ("Doe^John\0", "Doe ^ John"),
        ("Doe^John", "Doe^John=="),
        ("Mu\u0308ller^J", "M\u00fcller^J"),  # decomposed and composed: decoded it is the same
    ],
)
def test_padding_and_trailing_delimiters_say_nothing(ours: str, theirs: str) -> None:
    compared = compare({**SOURCE, "PatientName": ours}, {**SOURCE, "PatientName": theirs})
    assert (compared.differing, compared.skipped) == ((), ())
    assert differing({"PatientID": " OVR-42 "}) == ()


def test_what_the_archive_does_not_return_is_skipped_and_named() -> None:
    told = {"PatientID": "OVR-42", "PatientName": "Yamada^Tarou", "PatientSex": ""}
    compared = compare(SOURCE, told)
    assert compared.differing == ()
    assert compared.skipped == (
        "IssuerOfPatientID",
        "PatientName (ideographic)",
        "PatientName (phonetic)",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
    )


def test_what_the_source_did_not_give_is_skipped_and_named() -> None:
    compared = compare({"PatientID": "OVR-42"}, SOURCE)
    assert compared.differing == ()
    assert "PatientName" in compared.skipped
    assert "AccessionNumber" in compared.skipped


def test_the_sources_default_issuer_counts_where_its_objects_name_none() -> None:
    bare = {key: value for key, value in SOURCE.items() if key != "IssuerOfPatientID"}
    assert compare(bare, SOURCE, default_issuer="HOSPITAL").skipped == ()
    assert compare(bare, SOURCE, default_issuer="CLINIC").differing == ("IssuerOfPatientID",)
    assert compare(bare, SOURCE).skipped == ("IssuerOfPatientID",)


def test_only_what_the_site_names_is_compared() -> None:
    other = {**SOURCE, "PatientName": "OTHER^"}
    compared = compare(SOURCE, other, keywords=("PatientID", "PatientSex"))
    assert (compared.differing, compared.skipped) == ((), ())

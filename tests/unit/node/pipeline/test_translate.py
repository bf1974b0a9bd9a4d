from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inference import phantoms
from inference.codes import Code
from inference.context import Context
from inference.errors import SeriesUnusable
from inference.volume import Series, read_series
from integrations.context import RecordContext
from integrations.report import Coding, UsedValue
from node.pipeline.translate import (
    Source,
    context_as_record,
    context_for_model,
    patient_identity,
    require_identity,
    started,
)
from tests.unit.node.samples import PATIENT

NOWHERE = Source(default_issuer=None, time_zone=None)
VIENNA = Source(default_issuer="AKH", time_zone="Europe/Vienna")


def test_a_patient_is_who_the_source_says() -> None:
    patient = patient_identity(PATIENT, VIENNA)
    assert patient.patient_id == "OVR-000042"
    assert patient.issuer_of_patient_id == "EXAMPLE"
    assert patient.patient_name == "Muster^Erika"
    assert patient.birth_date == date(1964, 8, 12)
    assert patient.sex == "F"


def test_the_peers_issuer_counts_only_where_the_object_names_none() -> None:
    assert patient_identity({"PatientID": "1"}, VIENNA).issuer_of_patient_id == "AKH"
    assert patient_identity({"IssuerOfPatientID": ""}, VIENNA).issuer_of_patient_id == "AKH"
    assert patient_identity({}, NOWHERE).issuer_of_patient_id is None


@pytest.mark.parametrize(
    ("values", "birth_date", "sex"),
    [
        ({}, None, None),
        ({"PatientBirthDate": "19640231", "PatientSex": "X"}, None, None),
        ({"PatientBirthDate": "1964", "PatientSex": "female"}, None, None),
        ({"PatientBirthDate": "19640812", "PatientSex": "o"}, date(1964, 8, 12), "O"),
    ],
)
def test_what_is_absent_or_malformed_is_none(
    values: dict[str, Any], birth_date: date | None, sex: str | None
) -> None:
    patient = patient_identity(values, NOWHERE)
    assert (patient.birth_date, patient.sex) == (birth_date, sex)


def test_several_values_are_one_text_that_nobody_else_has() -> None:
    values = {"PatientID": ["A", "B"], "IssuerOfPatientID": ["X", "Y"], "PatientSex": ["F", "M"]}
    patient = patient_identity(values, VIENNA)
    assert (patient.patient_id, patient.issuer_of_patient_id) == ("A\\B", "X\\Y")
    assert patient.sex is None


@pytest.mark.parametrize(
    ("values", "source", "expected"),
    [
        ({}, VIENNA, None),
        ({"StudyDate": "20261332"}, VIENNA, None),
        ({"StudyTime": "101500"}, VIENNA, None),
        ({"StudyDate": "20261015"}, VIENNA, date(2026, 10, 15)),
        ({"StudyDate": "20261015", "StudyTime": "101500"}, NOWHERE, date(2026, 10, 15)),
        ({"StudyDate": "20261015", "StudyTime": "nonsense"}, VIENNA, date(2026, 10, 15)),
        (
            {"StudyDate": "20261015", "StudyTime": "101500"},
            VIENNA,
            datetime(2026, 10, 15, 8, 15, tzinfo=UTC),  # summer time
        ),
        (
            {"StudyDate": "20261115", "StudyTime": "101500.123456"},
            VIENNA,
            datetime(2026, 11, 15, 9, 15, tzinfo=UTC),
        ),
        (
            {"StudyDate": "20261015", "StudyTime": "10"},
            VIENNA,
            datetime(2026, 10, 15, 8, 0, tzinfo=UTC),
        ),
        (
            {"StudyDate": "20261015", "StudyTime": "1015", "TimezoneOffsetFromUTC": "-0330"},
            VIENNA,
            datetime(2026, 10, 15, 13, 45, tzinfo=UTC),
        ),
        (
            {"StudyDate": "20261015", "StudyTime": "101500", "TimezoneOffsetFromUTC": "+0000"},
            VIENNA,
            datetime(2026, 10, 15, 10, 15, tzinfo=UTC),
        ),
    ],
)
def test_when_a_study_began(
    values: dict[str, Any], source: Source, expected: date | datetime | None
) -> None:
    began = started(values, source)
    assert began == expected
    assert type(began) is type(expected)


@pytest.mark.parametrize(
    "offset", ["+1", "0100", "+01:00", "+9999", "-2400", "+0٣00", "", ["+0100"]]
)
def test_an_offset_that_is_none_leaves_the_peers_zone(offset: Any) -> None:
    values = {"StudyDate": "20261015", "StudyTime": "101500", "TimezoneOffsetFromUTC": offset}
    began = started(values, VIENNA)
    assert isinstance(began, datetime)
    assert began.utcoffset() == timedelta(hours=2)
    assert started(values, NOWHERE) == date(2026, 10, 15)


AGE = UsedValue(
    feature="age",
    concept=Coding("121033", "DCM", "Subject Age"),
    value="62.5",
    unit=Coding("a", "UCUM", "year"),
    source="Patient/1/_history/1",
    effective="2026-10-15",
)
SEX = replace(
    AGE, feature="sex", concept=Coding("121032", "DCM", "Subject Sex"), value="F", unit=None
)


def answer(*values: UsedValue, **missing: str) -> RecordContext:
    named = {value.feature: value for value in values}
    return RecordContext(patient="Patient/1", patient_version="4", values=named, missing=missing)


def test_context_reaches_the_model_with_its_moment_and_source() -> None:
    record = context_as_record(answer(AGE, SEX))
    context = context_for_model(record, ("age", "sex"))
    age, sex = context.values["age"], context.values["sex"]
    assert age.value == 62.5
    assert age.concept == Code("121033", "DCM", "Subject Age")
    assert age.unit == Code("a", "UCUM", "year")
    assert (age.source, age.effective) == ("Patient/1/_history/1", "2026-10-15")
    assert sex.value == Code("F", "DCM", "Female")
    assert sex.unit is None
    assert context.missing == {}


def test_a_model_is_told_what_it_asked_for_and_why_something_is_missing() -> None:
    record = context_as_record(answer(AGE, weight="NOT-RECORDED"))
    context = context_for_model(record, ("weight", "sex"))
    assert context.values == {}
    assert context.missing == {"weight": "NOT-RECORDED", "sex": "NOT-KNOWN"}


def test_a_refused_context_is_missing_for_one_reason() -> None:
    context = context_for_model({"refused": "NAME-DIFFERS"}, ("age", "sex"))
    assert context == Context(values={}, missing={"age": "NAME-DIFFERS", "sex": "NAME-DIFFERS"})


def test_a_job_without_context_has_none() -> None:
    assert context_for_model({}, ()) == Context(values={}, missing={})


@pytest.fixture
def ball(tmp_path: Path) -> Series:
    affine = phantoms.grid()
    voxels = phantoms.sphere(affine, (4, 8, 8), radius_mm=3)
    header = {**PATIENT, "PatientName": "Muster^Erika ", "IssuerOfPatientID": None}
    return read_series(
        phantoms.write(phantoms.Phantom(voxels=voxels, affine=affine, header=header), tmp_path)
    )


RECEIVED = {key: value for key, value in PATIENT.items() if key != "IssuerOfPatientID"}


def test_the_files_patient_is_the_jobs_patient(ball: Series) -> None:
    require_identity(
        {**RECEIVED, "StudyDate": "20200101", "AccessionNumber": "OTHER"}, ball.headers
    )


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "OVR-000043"),
        ("IssuerOfPatientID", "ELSEWHERE"),
        ("PatientName", "Muster^Max"),
        ("PatientBirthDate", "19640813"),
        ("PatientSex", "M"),
        ("PatientSex", ""),
    ],
)
def test_another_patient_is_not_analysed_under_this_name(
    ball: Series, keyword: str, value: str
) -> None:
    with pytest.raises(SeriesUnusable) as refused:
        require_identity({**RECEIVED, keyword: value}, ball.headers)
    assert refused.value.reason == "IDENTITY-DIFFERS"
    assert refused.value.detail == f"instances of the series differ in {keyword}"


def test_one_instance_of_another_patient_is_enough(ball: Series) -> None:
    stranger = ball.headers[-1].copy()
    stranger.PatientBirthDate = "20000101"
    mixed = replace(ball, headers=(*ball.headers[:-1], stranger))
    with pytest.raises(SeriesUnusable, match="PatientBirthDate"):
        require_identity(RECEIVED, mixed.headers)

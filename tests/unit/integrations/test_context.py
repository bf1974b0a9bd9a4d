from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from integrations.errors import NotVerified, Refused, Unavailable
from integrations.fhir.context import FhirRecord
from tests.unit.integrations.fhir_server import client_of, fhir, searchset
from tests.unit.integrations.samples import IDENTITY, ISSUER, colin

SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
AT = date(2026, 6, 1)


def _record(*patients: dict[str, Any], found: tuple[str, ...] | None = None) -> FhirRecord:
    """Give a record of these patients; a search finds those of the ids in `found`, or all."""
    by_id = {one["id"]: one for one in patients}

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        if name == "Patient":
            return searchset(*(one for one in patients if found is None or one["id"] in found))
        return fhir(by_id[name]) if name in by_id else httpx.Response(404)

    return FhirRecord(client_of(answer), {ISSUER: SYSTEM})


def _patient(**changes: object) -> dict[str, Any]:
    return {**colin(), "meta": {"versionId": "3"}, **changes}


def _reason(record: FhirRecord, **identity: Any) -> str:
    with pytest.raises(NotVerified) as refused:
        record.context(replace(IDENTITY, **identity), ["age"], AT)
    assert "4711" not in str(refused.value)
    return refused.value.reason


def test_names_the_patient_with_the_version_that_was_read() -> None:
    context = _record(_patient()).context(IDENTITY, ["age", "sex"], AT)
    assert (context.patient, context.patient_version) == ("Patient/colin", "3")
    assert {one.source for one in context.values.values()} == {"Patient/colin/_history/3"}


def test_a_server_without_versions_is_named_without_one() -> None:
    context = _record(_patient(meta={})).context(IDENTITY, ["age"], AT)
    assert context.patient_version is None
    assert context.values["age"].source == "Patient/colin"


@pytest.mark.parametrize("issuer", [None, "SOMEBODY ELSE"])
def test_an_issuer_without_a_system_cannot_be_asked_for(issuer: str | None) -> None:
    assert _reason(_record(_patient()), issuer_of_patient_id=issuer) == "NO-IDENTIFIER-SYSTEM"


def test_nobody_is_not_verified() -> None:
    assert _reason(_record()) == "NO-PATIENT"


def test_a_server_that_ignores_the_question_finds_nobody() -> None:
    assert _reason(_record(_patient(identifier=[{"system": SYSTEM, "value": "7"}]))) == "NO-PATIENT"
    assert _reason(_record(_patient(identifier=[{"value": "MRN-4711"}]))) == "NO-PATIENT"


@pytest.mark.parametrize("name", ["", "a/b", None])
def test_a_patient_without_an_id_cannot_be_named(name: str | None) -> None:
    twins = (_patient(id=name), _patient(id=name))
    with pytest.raises(Refused) as refused:
        FhirRecord(client_of(lambda _: searchset(*twins)), {ISSUER: SYSTEM}).context(
            IDENTITY, [], AT
        )
    assert refused.value.reason == "EHR-NOT-FHIR"


def test_two_are_one_too_many() -> None:
    assert _reason(_record(_patient(), _patient(id="twin"))) == "SEVERAL-PATIENTS"


def test_an_inactive_one_is_not_verified_but_does_not_hide_an_active_one() -> None:
    old = _patient(id="old", active=False)
    assert _reason(_record(old)) == "PATIENT-INACTIVE"
    assert _record(old, _patient()).context(IDENTITY, [], AT).patient == "Patient/colin"


def _merged_into(reference: str, **changes: object) -> dict[str, Any]:
    link = {"type": "replaced-by", "other": {"reference": reference}}
    return _patient(**{"id": "old", "active": False, "link": [link], **changes})


@pytest.mark.parametrize("reference", ["Patient/colin", "http://ehr.test/fhir/Patient/colin"])
@pytest.mark.parametrize("found", [("old",), ("old", "colin")])
def test_a_merged_record_leads_to_the_one_that_replaced_it(
    reference: str, found: tuple[str, ...]
) -> None:
    record = _record(_merged_into(reference), _patient(), found=found)
    assert record.context(IDENTITY, [], AT).patient == "Patient/colin"


def test_the_surviving_record_is_the_one_that_is_verified() -> None:
    survivor = _patient(birthDate="1970-01-01")
    record = _record(_merged_into("Patient/colin"), survivor, found=("old",))
    assert _reason(record) == "BIRTH-DATE-DIFFERS"


def test_merges_are_followed_to_the_last() -> None:
    chain = _merged_into("Patient/last", id="colin", active=True)
    record = _record(_merged_into("Patient/colin"), chain, _patient(id="last"), found=("old",))
    assert record.context(IDENTITY, [], AT).patient == "Patient/last"


@pytest.mark.parametrize(
    "link",
    [
        {"reference": "Patient/old"},
        {"reference": "Patient/circle"},
        {"reference": "http://elsewhere.test/fhir/Patient/colin"},
        {"reference": "RelatedPerson/colin"},
        {"identifier": {"system": SYSTEM, "value": "MRN-4711"}},
        {"reference": ""},
    ],
)
def test_a_merge_that_leads_nowhere_or_in_a_circle_is_a_doubt(link: dict[str, Any]) -> None:
    merged = _patient(id="old", link=[{"type": "replaced-by", "other": link}])
    circle = _merged_into("Patient/old", id="circle")
    assert _reason(_record(merged, circle, _patient(), found=("old",))) == "MERGE-UNCLEAR"


def test_a_record_that_was_replaced_by_two_is_a_doubt() -> None:
    links = [
        {"type": "replaced-by", "other": {"reference": f"Patient/{one}"}} for one in ("colin", "b")
    ]
    record = _record(_patient(id="old", link=links), _patient(), _patient(id="b"), found=("old",))
    assert _reason(record) == "MERGE-UNCLEAR"


def test_a_replacement_that_is_not_given_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        _record(_merged_into("Patient/gone")).context(IDENTITY, [], AT)
    assert refused.value.reason == "EHR-404"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"birthDate": "1970-05-17"}, "BIRTH-DATE-DIFFERS"),
        ({"birthDate": "1969"}, "BIRTH-DATE-UNKNOWN"),
        ({"name": [{"family": "Roe", "given": ["Colin"]}]}, "NAME-DIFFERS"),
        ({"gender": "female"}, "SEX-DIFFERS"),
    ],
)
def test_a_contradiction_is_not_verified(changes: Mapping[str, Any], reason: str) -> None:
    assert _reason(_record(_patient(**changes))) == reason


@pytest.mark.parametrize(
    ("at", "age"),
    [
        (date(2026, 5, 16), "56"),
        (date(2026, 5, 17), "57"),
        (datetime(2026, 5, 17, 0, 30, tzinfo=UTC), "57"),
        (date(1969, 5, 17), "0"),
    ],
)
def test_age_is_completed_years_at_the_study(at: date | datetime, age: str) -> None:
    value = _record(_patient()).context(IDENTITY, ["age"], at).values["age"]
    assert value.value == age
    assert value.effective == f"{at:%Y-%m-%d}"


def test_nobody_is_younger_than_nothing() -> None:
    context = _record(_patient()).context(IDENTITY, ["age"], date(1960, 1, 1))
    assert context.missing == {"age": "BIRTH-DATE-AFTER-STUDY"}


@pytest.mark.parametrize(
    ("gender", "sex", "code"), [("male", "M", "M"), ("female", "F", "F"), ("other", "O", "121102")]
)
def test_sex_is_a_code_of_cid_7455(gender: str, sex: str, code: str) -> None:
    context = _record(_patient(gender=gender)).context(replace(IDENTITY, sex=sex), ["sex"], AT)
    assert (context.values["sex"].value, context.values["sex"].unit) == (code, None)


@pytest.mark.parametrize("gender", ["unknown", None])
def test_an_unknown_sex_is_missing(gender: str | None) -> None:
    patient = _patient(gender=gender)
    if gender is None:
        del patient["gender"]
    assert _record(patient).context(IDENTITY, ["sex"], AT).missing == {"sex": "SEX-UNKNOWN"}


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    record = FhirRecord(client_of(lambda _: httpx.Response(503)), {ISSUER: SYSTEM})
    with pytest.raises(Unavailable):
        record.context(IDENTITY, [], AT)

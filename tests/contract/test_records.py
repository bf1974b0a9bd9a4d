"""What every record promises, held on the double and on a real FHIR server alike."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from integrations.context import Record
from integrations.errors import NotVerified
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.report import Coding, UsedValue
from integrations.testing import MemoryRecord
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.unit.integrations.samples import AGE, IDENTITY, ISSUER, colin

AT = date(2026, 6, 1)

_SEX = UsedValue(
    feature="sex",
    concept=Coding("121032", "DCM", "Subject Sex"),
    value="M",
    unit=None,
    source="Patient/colin/_history/3",
    effective="2026-06-01",
)


def _memory() -> MemoryRecord:
    other = replace(IDENTITY, patient_id="MRN-4712")
    return MemoryRecord(
        patients={(ISSUER, IDENTITY.patient_id): {"age": AGE, "sex": _SEX}},
        contradictions={(ISSUER, other.patient_id): "NAME-DIFFERS"},
    )


@pytest.fixture(params=["memory", pytest.param("sekmet", marks=pytest.mark.peers)])
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    if request.param == "memory":
        yield _memory()
        return
    server: Sekmet = request.getfixturevalue("sekmet")
    server.put(colin())
    namesake = {"system": MRN_SYSTEM, "value": "MRN-4712"}
    server.put({
        **colin(),
        "id": "other",
        "identifier": [namesake],
        "name": [{"family": "Roe", "given": ["Colin"]}],
    })
    with FhirClient(server.base_url) as client:
        yield FhirRecord(client, {ISSUER: MRN_SYSTEM})


def test_reads_the_features_of_a_verified_patient(record: Record) -> None:
    context = record.context(IDENTITY, ["age", "sex"], AT)
    age, sex = context.values["age"], context.values["sex"]
    assert context.patient.startswith("Patient/")
    assert context.patient_version is not None
    assert (age.value, age.unit, age.effective) == ("57", Coding("a", "UCUM", "year"), "2026-06-01")
    assert (sex.value, sex.unit) == ("M", None)
    assert (age.concept.value, sex.concept.value) == ("121033", "121032")
    assert age.source.startswith("Patient/")
    assert "/_history/" in age.source
    assert context.missing == {}


def test_reads_only_what_was_asked_for(record: Record) -> None:
    assert list(record.context(IDENTITY, ["sex"], AT).values) == ["sex"]
    assert record.context(IDENTITY, [], AT).values == {}


def test_says_which_feature_it_does_not_know(record: Record) -> None:
    context = record.context(IDENTITY, ["age", "shoe-size"], AT)
    assert list(context.values) == ["age"]
    assert context.missing == {"shoe-size": "FEATURE-NOT-SUPPORTED"}


def test_an_unknown_patient_is_not_verified(record: Record) -> None:
    with pytest.raises(NotVerified) as refused:
        record.context(replace(IDENTITY, patient_id="MRN-0"), ["age"], AT)
    assert refused.value.reason == "NO-PATIENT"
    assert "MRN-0" not in str(refused.value)


def test_somebody_else_is_not_verified(record: Record) -> None:
    with pytest.raises(NotVerified) as refused:
        record.context(replace(IDENTITY, patient_id="MRN-4712"), ["age"], AT)
    assert refused.value.reason == "NAME-DIFFERS"
    assert "Doe" not in str(refused.value)

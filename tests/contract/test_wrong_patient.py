"""Nothing is read of, or written to, a patient who is not the study's; and the right one is found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

import httpx
import pytest

from integrations.context import Question, RecordContext
from integrations.errors import NotVerified
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.fhir.destination import FhirDestination
from integrations.report import Coding
from node.core.job import DeliveryState
from node.pipeline.deliver import Outlet, deliver_next
from node.pipeline.records import as_record
from tests.contract.patients import ACCESSIONS, SYSTEMS, Case, right, wrong
from tests.peers.sekmet import Sekmet
from tests.unit.integrations.memory_fhir import MemoryFhir
from tests.unit.integrations.samples import report
from tests.unit.node.doubles import MemoryDeliveries, MemoryFiles, held
from tests.unit.node.samples import delivery_claim

WRONG, RIGHT = list(wrong()), list(right())
AT = date(2026, 6, 1)
CREATININE = Question(
    concept=Coding("2160-0", "LN", "Creatinine"),
    resource="Observation",
    codes=(("http://loinc.org", "2160-0"),),
    unit="umol/L",
    maximum_age_days=90,
)
TO_VERIFY = {"Patient", "ServiceRequest"}
"""What may be read before it is known who somebody is."""


class Holds(Protocol):
    def put(self, resource: Mapping[str, Any]) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Ehr:
    """A server with all cases in it, and what it was asked."""

    base_url: str
    transport: httpx.BaseTransport
    asked: list[httpx.Request]

    @contextmanager
    def record(self) -> Iterator[tuple[FhirClient, FhirRecord]]:
        def note(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return self.transport.handle_request(request)

        self.asked.clear()
        with FhirClient(self.base_url, transport=_Noting(note)) as client:
            yield client, FhirRecord(client, SYSTEMS, accession_system=ACCESSIONS)

    def kinds(self) -> set[str]:
        """Resource types that were read."""
        paths = [one.url.path.removeprefix("/fhir/") for one in self.asked if one.method == "GET"]
        return {path.split("/")[0] for path in paths}

    def writes(self) -> list[str]:
        return [one.method for one in self.asked if one.method != "GET"]

    def subjects(self) -> set[str]:
        """Return references to all whom something was written about."""
        sent = "".join(one.content.decode() for one in self.asked if one.method != "GET")
        return set(re.findall(r'"subject":\{"reference":"([^"]+)"', sent))


class _Noting(httpx.MockTransport):
    """Hands on to a transport that somebody else closes."""


def _fill(server: Holds, cases: Sequence[Case]) -> None:
    for resource in [one for case in cases for one in case.holds]:
        # a server that checks references wants to have seen what is linked to
        if "link" in resource:
            server.put({key: value for key, value in resource.items() if key != "link"})
    for resource in [one for case in cases for one in case.holds]:
        server.put(resource)


@pytest.fixture(
    scope="module", params=["strict", "lenient", pytest.param("sekmet", marks=pytest.mark.peers)]
)
def ehr(request: pytest.FixtureRequest) -> Iterator[Ehr]:
    if request.param == "sekmet":
        server: Sekmet = request.getfixturevalue("sekmet")
        _fill(server, WRONG + RIGHT)
        with httpx.HTTPTransport() as transport:
            yield Ehr(server.base_url, transport, [])
        return
    yield _double({"identifier", "patient", "code"} if request.param == "strict" else set())


@pytest.fixture(scope="module")
def strict() -> Ehr:
    return _double({"identifier", "patient", "code"})


def _double(heeds: set[str]) -> Ehr:
    """Return the double; one that heeds nothing answers every search with everybody it knows."""
    double = MemoryFhir(heeds=frozenset(heeds), page=50)
    _fill(double, WRONG + RIGHT)
    return Ehr(double.base_url, httpx.MockTransport(double), [])


def _asked(record: FhirRecord, case: Case) -> RecordContext:
    wanted = {"creatinine": CREATININE}
    return record.context(
        case.study, ["age", *wanted], AT, questions=wanted, accession_number=case.accession
    )


def _brought(case: Case, ehr: Ehr, files: MemoryFiles) -> MemoryDeliveries:
    """Let a finished result of the case's study be delivered, as if an earlier look had found a patient."""
    of = report(abs(hash(case.name)) % 10**9)
    study = replace(of.study, patient=case.study, accession_number=case.accession)
    owed = as_record(replace(of, study=study, record_patient="Patient/somebody"))
    deliveries = MemoryDeliveries(owed=[delivery_claim(owed, destination="ehr")])
    with ehr.record() as (client, record):
        outlets = {"ehr": Outlet(destination=FhirDestination(client), record=record)}
        assert deliver_next(deliveries, files, outlets, held, 3)
    return deliveries


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> MemoryFiles:
    root = tmp_path_factory.mktemp("results")
    for one, _ in delivery_claim({}).instances:
        (root / one.path).parent.mkdir(parents=True, exist_ok=True)
        (root / one.path).write_bytes(b"")
    return MemoryFiles(root=root)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_of_a_wrong_patient_nothing_is_read_and_nothing_written(
    case: Case, strict: Ehr, files: MemoryFiles
) -> None:
    with strict.record() as (_, record), pytest.raises(NotVerified) as refused:
        _asked(record, case)
    assert strict.kinds() <= TO_VERIFY
    (*_, last) = _brought(case, strict, files).calls
    assert last[0] == "park"
    assert last[2] == refused.value.reason
    assert strict.kinds() <= TO_VERIFY
    assert strict.writes() == []


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_the_right_patient_is_read_and_written(case: Case, strict: Ehr, files: MemoryFiles) -> None:
    with strict.record() as (_, record):
        context = _asked(record, case)
    assert context.patient == case.right
    assert "Observation" in strict.kinds()
    assert context.values["age"].value == "61"
    (*_, last) = _brought(case, strict, files).calls
    assert last[:1] + last[2:3] == ("finish", DeliveryState.CONFIRMED)
    assert strict.subjects() == {case.right}


def test_the_figures(ehr: Ehr, files: MemoryFiles, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, over all cases at once, what the tests above look at one by one."""
    reads = writes = matched = 0
    for case in WRONG:
        with ehr.record() as (_, record), suppress(NotVerified):
            _asked(record, case)
        reads += bool(ehr.kinds() - TO_VERIFY)
        _brought(case, ehr, files)
        reads += bool(ehr.kinds() - TO_VERIFY)
        writes += len(ehr.writes())
    for case in RIGHT:
        (*_, last) = _brought(case, ehr, files).calls
        matched += last[0] == "finish" and ehr.subjects() == {case.right}
    with capsys.disabled():
        print(
            f"\n{ehr.base_url}: {len(WRONG)} wrong patients: {reads} context reads, {writes} write-backs; "
            f"{matched} of {len(RIGHT)} right ones matched"
        )
    assert len(WRONG) >= 40
    assert (reads, writes) == (0, 0)
    assert matched / len(RIGHT) >= 0.95

"""Findings stand in one patient's record, and the study is another's: put right once, killed anywhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy.engine.default as dialect

from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.fhir.destination import FhirDestination
from integrations.report import Report
from node.core.job import Readiness
from node.core.withdrawal import IDENTITY_CORRECTED
from node.pipeline.deliver import Outlet, deliver_next
from node.pipeline.records import as_record
from node.pipeline.withdraw import withdraw_next
from node.store import schema
from node.store.files import FileStore
from tests.contract.stores import Store, sqlite
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.unit.integrations.samples import IDENTITY, ISSUER, colin, report
from tests.unit.node.doubles import held
from tests.unit.node.samples import result_set

pytestmark = pytest.mark.peers

CAUSES = frozenset({IDENTITY_CORRECTED})
OLD, NEW = "MRN-4711", "MRN-4712"


class Killed(BaseException):
    """The worker ends here."""


class Killer:
    """Ends the worker before, or after, the n-th commit or request that changes something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.left, self._after = at, after
        for owner, name in (
            (dialect.DefaultDialect, "do_commit"),
            (httpx.HTTPTransport, "handle_request"),
        ):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self._after:
                raise Killed
            result = call(*arguments, **named)
            if self.left == 0:
                if isinstance(result, httpx.Response):
                    result.read()
                raise Killed
            return result

        return called


@dataclass(kw_only=True)
class Ward:
    """A node's store and the record of its hospital; the study is one that no earlier test has written."""

    store: Store
    ehr: Sekmet
    number: int

    def report(self, number: int, patient_id: str) -> Report:
        of = report(self.number)
        patient = replace(IDENTITY, patient_id=patient_id)
        uid = f"{of.result_set_uid}.{number}"
        return replace(of, result_set_uid=uid, study=replace(of.study, patient=patient))

    def publish(self, number: int, patient_id: str) -> None:
        for job in self.store.jobs.unprepared():
            self.store.jobs.prepared(job.job_id, Readiness.READY, {})
        of = self.report(number, patient_id)
        made = result_set(number, report=as_record(of))
        self.store.jobs.publish(self.store.claimed(), made)

    def work(self) -> None:
        """Do what a worker does, until nothing is owed."""
        files = FileStore(self.store.folder / "files")
        with FhirClient(self.ehr.base_url) as client:
            record = FhirRecord(client, {ISSUER: MRN_SYSTEM})
            destination = FhirDestination(client)
            outlets = {"ehr": Outlet(destination=destination, record=record, withdraws=CAUSES)}
            while withdraw_next(self.store.withdrawals, files, outlets, held, 99) or deliver_next(
                self.store.deliveries, files, outlets, held, 99
            ):
                pass

    def standing(self, number: int) -> list[tuple[str, str]]:
        """Patient and status of each report under a result set's identifier."""
        uid = self.report(number, OLD).result_set_uid
        found = self.ehr.search("DiagnosticReport", identifier=f"urn:dicom:uid|urn:oid:{uid}")
        return [(one["subject"]["reference"], one["status"]) for one in found]


@pytest.fixture
def patients(sekmet: Sekmet) -> Sekmet:
    sekmet.put(colin())
    other = {"system": MRN_SYSTEM, "value": NEW}
    sekmet.put({**colin(), "id": "other", "identifier": [other]})
    return sekmet


@contextmanager
def written(ehr: Sekmet, folder: Path) -> Iterator[Ward]:
    """Give a node whose result stands in the record of the wrong patient."""
    (folder / "files" / "results" / "2.25.900").mkdir(parents=True)
    open_one = sqlite(folder)
    store = Store(database=open_one(), open_another=open_one, folder=folder, reissued={"ehr"})
    for number in (1, 2):
        for item in result_set(number).instances:
            (folder / "files" / item.path).write_bytes(b"result")
    one = Ward(store=store, ehr=ehr, number=uuid4().int % 10**9)
    store.ready(destinations=("ehr",))
    one.publish(1, OLD)
    one.work()
    assert one.standing(1) == [("Patient/colin", "preliminary")]
    yield one
    store.close()


@pytest.fixture
def ward(patients: Sekmet, tmp_path: Path) -> Iterator[Ward]:
    with written(patients, tmp_path / "node") as one:
        yield one


def corrected(ward: Ward) -> None:
    """Receive the images again, and let the job that this orders be done."""
    ward.store.correct(patient=NEW)
    ward.store.dispatch(destinations=("ehr",))
    ward.publish(2, NEW)


def assert_right(ward: Ward) -> None:
    assert ward.standing(1) == [("Patient/colin", "entered-in-error")]
    assert ward.standing(2) == [("Patient/other", "preliminary")]
    states = sorted(row.state for row in ward.store.rows(schema.delivery))
    assert states == ["CONFIRMED", "WITHDRAWN"]
    assert ward.store.one(schema.withdrawal).state == "WITHDRAWN"


def test_the_wrong_record_is_marked_and_the_right_one_written(ward: Ward) -> None:
    corrected(ward)
    ward.work()
    assert_right(ward)
    found = ward.ehr.search("Observation", subject="Patient/colin")
    assert {one["status"] for one in found} == {"entered-in-error"}


def test_a_record_that_knows_no_right_patient_keeps_nothing_wrong(ward: Ward) -> None:
    ward.store.correct(patient="MRN-UNKNOWN")
    ward.store.dispatch(destinations=("ehr",))
    ward.publish(2, "MRN-UNKNOWN")
    ward.work()
    assert ward.standing(1) == [("Patient/colin", "entered-in-error")]
    assert ward.standing(2) == []


def test_a_report_that_is_being_written_when_the_correction_comes_is_found_and_marked(
    patients: Sekmet, ward: Ward
) -> None:
    """The answer to the transaction is lost with its worker; only the server knows that it stands there."""
    ward.store.write("UPDATE delivery SET state = 'OWED', receipt = NULL, lease_until = 1")
    corrected(ward)
    ward.store.write("UPDATE withdrawal SET due_at = 1")
    ward.work()
    assert ward.standing(1) == [("Patient/colin", "entered-in-error")]
    assert ward.standing(2) == [("Patient/other", "preliminary")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_point_each_patient_has_what_is_his(
    patients: Sekmet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: bool
) -> None:
    point, killed = 0, True
    while killed:
        point += 1
        with written(patients, tmp_path / f"run{point}") as ward:
            corrected(ward)
            with monkeypatch.context() as patch:
                killer = Killer(patch, point, after=after)
                with suppress(Killed):
                    ward.work()
                killed = killer.left <= 0
            ward.store.expire_leases()
            ward.work()
            assert_right(ward)
    assert point > 15

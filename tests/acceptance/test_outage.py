"""Each destination sick for hours, in every way: the others never wait, and then everything is there, once.

The store's clock is moved by hand. ``OVERREAD_OUTAGE_HOURS`` is how long they are sick; without it half an
hour, and in three of the ways.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.fhir.destination import FhirDestination
from integrations.pacs.commitment_request import Asked, request_commitment
from integrations.pacs.peer import DicomPeer
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from node.core.confirmation import ConfirmationClaim
from node.core.lane import Backoff, Lane
from node.dicom.commitments import Reports
from node.pipeline.confirm import Confirmer, confirm_next, take_report
from node.pipeline.deliver import Outlet, deliver_next
from node.pipeline.withdraw import withdraw_next
from node.store import database as database_module
from node.store import schema
from node.store.confirmations import OPEN, ConfirmationStore
from node.store.deliveries import DeliveryStore
from node.store.files import FileStore
from node.store.withdrawals import WithdrawalStore
from tests.acceptance.outage import (
    A700,
    ARCHIVES,
    LYING,
    NAMES,
    NOS,
    WAYS,
    Destinations,
    destinations_of,
    place_of,
)
from tests.contract.stores import opened
from tests.peers.ready import Ready
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.peers.sick import HANGING, WELL
from tests.unit.integrations.samples import ISSUER
from tests.unit.node.doubles import held

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(900)]

HOURS = float(os.environ.get("OVERREAD_OUTAGE_HOURS", "0.5"))
SHORT = [("pacs", LYING), ("archive", HANGING), ("ehr", 412)]
CASES = WAYS if "OVERREAD_OUTAGE_HOURS" in os.environ else SHORT
EVERY_S = 600.0
"""A result is ready so often."""
T0 = 1_790_000_000.0
BACKOFF = Backoff()
LEASE_S = 60.0
LOST_LEASES = 5
REPORT_WITHIN_S = 3600.0
PATIENCE_S = 10.0
IMPATIENCE_S = 0.2
"""How long a destination that is sick is waited for, instead of `PATIENCE_S`."""
SLOW_S = IMPATIENCE_S / 10
"""Between two bytes: as 1 byte/s, where 10 s are waited for an answer."""


@dataclass
class Hospital:
    """A node's store, the steps of the lanes, and what time it is."""

    destinations: Destinations
    root: Path
    at: list[float]
    stack: ExitStack
    outlets: dict[str, Outlet] = field(default_factory=dict)
    confirmers: dict[str, Confirmer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lanes = {name: Lane(destination=name, backoff=BACKOFF) for name in NAMES}
        self.store = self.destinations.store
        database = self.store.database
        self.ready = Ready(self.store, self.root)
        self.deliveries = DeliveryStore(database, LEASE_S, lanes)
        self.withdrawals = WithdrawalStore(database, LEASE_S, lanes)
        self.confirmations = ConfirmationStore(database, LEASE_S)
        for name in NAMES:
            self._wire(name, PATIENCE_S)

    def fall_sick(self, name: str, how: str | int) -> Callable[[], None]:
        """Let a destination be sick until the returned call."""
        self._wire(name, IMPATIENCE_S)
        self.destinations.become(name, how)

        def heal() -> None:
            self.destinations.become(name, WELL)
            self._wire(name, PATIENCE_S)

        return heal

    def _wire(self, name: str, patience_s: float) -> None:
        port = self.destinations.wires[name].port
        if name not in ARCHIVES:
            url = f"http://127.0.0.1:{port}/fhir"
            client = self.stack.enter_context(FhirClient(url, read_timeout_s=patience_s))
            record = FhirRecord(client, {ISSUER: MRN_SYSTEM})
            self.outlets[name] = Outlet(destination=FhirDestination(client), record=record)
            return
        peer = DicomPeer(
            ae_title=self.destinations.archives[name].ae_title,
            host="127.0.0.1",
            port=port,
            connection_timeout_s=patience_s,
            acse_timeout_s=patience_s,
            dimse_timeout_s=patience_s,
        )
        index, commits = DicomArchiveIndex(peer), name == "pacs"
        self.outlets[name] = Outlet(destination=StorageDestination(peer, index, commits=commits))
        self.confirmers[name] = Confirmer(
            peer=name,
            request=self._requester(name, peer) if commits else None,
            within_s=REPORT_WITHIN_S if commits else 0.0,
            index=index,
        )

    def _requester(self, name: str, peer: DicomPeer) -> Callable[[ConfirmationClaim], None]:
        reports = Reports(take=lambda report: take_report(report, self.confirmations))

        def request(claim: ConfirmationClaim) -> None:
            references = [(one.sop_class_uid, one.sop_instance_uid) for one in claim.instances]
            asked = Asked(transaction_uid=claim.transaction_uid, references=references)
            patience_s = peer.dimse_timeout_s
            request_commitment(
                peer, asked, lambda event: reports.answer(event, name), linger_s=patience_s
            )

        return request

    def pass_time(self, seconds: float) -> None:
        """Do what is due now, and then whatever becomes due, when it does."""
        until = self.at[0] + seconds
        self._work()
        while (following := self._following()) <= until:
            self.at[0] = following
            self._work()
        self.at[0] = until

    def _work(self) -> None:
        files = FileStore(self.root)
        for name in NAMES:
            while withdraw_next(
                self.withdrawals, files, self.outlets, held, LOST_LEASES, name
            ) or deliver_next(self.deliveries, files, self.outlets, held, LOST_LEASES, name):
                pass
        for name in ARCHIVES:
            while confirm_next(self.confirmations, self.confirmers[name], held):
                pass

    def _following(self) -> float:
        """Return the next moment at which something may be tried."""
        circuits = {
            row.destination: row.due_at
            for row in self.store.rows(schema.circuit)
            if row.opened_at is not None
        }
        due = [
            max(row.due_at, circuits.get(row.destination, 0.0))
            for table in (schema.delivery, schema.withdrawal)
            for row in self.store.rows(table)
            if row.state == "OWED"
        ]
        due += [row.due_at for row in self.store.rows(schema.confirmation) if row.state in OPEN]
        return min((one for one in due if one > self.at[0]), default=float("inf")) + 1e-3


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sekmet: Sekmet) -> Iterator[Hospital]:
    at = [T0]
    monkeypatch.setattr(database_module, "_now", lambda _: at[0])
    for kind in ("Provenance", "DiagnosticReport"):
        for one in sekmet.search(kind):
            sekmet.request("DELETE", f"{kind}/{one['id']}")
    with (
        opened("sqlite", tmp_path) as store,
        destinations_of(store, sekmet, SLOW_S) as destinations,
        ExitStack() as stack,
    ):
        yield Hospital(destinations=destinations, root=tmp_path / "files", at=at, stack=stack)


@pytest.mark.parametrize(("name", "how"), CASES, ids=str)
def test_a_destination_that_is_sick_for_hours(
    hospital: Hospital, name: str, how: str | int
) -> None:
    destinations = hospital.destinations
    heal = hospital.fall_sick(name, how)
    made = []
    for turn in range(round(HOURS * 3600 / EVERY_S)):
        ready = hospital.ready.publish(NAMES, series=place_of(turn))
        made.append(ready.result_set_id)
        hospital.pass_time(EVERY_S)
    for other in set(NAMES) - {name}:
        assert destinations.waited_s(other, made) == [0.0] * len(made)
        assert destinations.states(other) == ["CONFIRMED"] * len(made)
    assert destinations.delivered(name) == set()
    spared = destinations.wires[name].attempts
    heal()
    if how in NOS:
        hospital.pass_time(2 * BACKOFF.longest_s)
        assert hospital.deliveries.owe_all_again(name) > 0
    else:
        assert "OWED" in destinations.states(name)
        # the pauses of one delivery, and not of each
        assert how == A700 or spared <= 14 + HOURS * 3600 / (BACKOFF.longest_s / 2)
    hospital.pass_time(2 * BACKOFF.longest_s)
    destinations.assert_all_is_there_once_and_in_order(made)

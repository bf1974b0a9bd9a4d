from pathlib import Path
from typing import Any

import pytest

from integrations.destination import Destination
from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.testing import MemoryArchive, MemoryReports
from node.core.lane import Backoff
from node.core.withdrawal import IDENTITY_CORRECTED, WithdrawalClaim, WithdrawalState
from node.errors import LeaseLost
from node.pipeline.deliver import Outlet
from node.pipeline.records import as_record
from node.pipeline.withdraw import withdraw_next
from tests.unit.integrations.samples import REPORT
from tests.unit.node.doubles import MemoryFiles, MemoryWithdrawals, held
from tests.unit.node.samples import STUDY

RECEIPT = {"references": ["DiagnosticReport/1"], "confirmed": True, "remark": None}


def owed(**changes: Any) -> MemoryWithdrawals:
    values: dict[str, Any] = {
        "withdrawal_id": "w-1",
        "transaction_uid": "2.25.901",
        "study_instance_uid": STUDY,
        "destination": "ehr",
        "cause": IDENTITY_CORRECTED,
        "attempt": 1,
        "lost_leases": 0,
        "report": as_record(REPORT),
        "receipt": RECEIPT,
        **changes,
    }
    return MemoryWithdrawals(owed=[WithdrawalClaim(**values)])


def run(
    withdrawals: MemoryWithdrawals,
    destination: Destination,
    *,
    causes: frozenset[str] = frozenset({IDENTITY_CORRECTED}),
) -> bool:
    outlets = {"ehr": Outlet(destination=destination, withdraws=causes)}
    return withdraw_next(withdrawals, MemoryFiles(root=Path("/nowhere")), outlets, held, 3)


def standing(*failures: IntegrationError | None) -> MemoryReports:
    return MemoryReports(failures=list(failures), reports={REPORT.result_set_uid: REPORT})


def test_nothing_owed_is_nothing_done() -> None:
    assert not run(MemoryWithdrawals(), standing())


@pytest.mark.parametrize("receipt", [RECEIPT, None], ids=["answered", "answer lost"])
def test_a_report_that_stands_is_taken_back(receipt: dict[str, Any] | None) -> None:
    withdrawals, reports = owed(receipt=receipt), standing()
    assert run(withdrawals, reports)
    assert reports.withdrawn == {REPORT.result_set_uid}
    finished = ("finish", "w-1", WithdrawalState.WITHDRAWN)
    assert withdrawals.calls[-1][:3] == finished
    assert withdrawals.calls[-1][3]["references"] == ("DiagnosticReport/1",)


def test_what_never_arrived_is_withdrawn() -> None:
    withdrawals = owed(receipt=None)
    run(withdrawals, MemoryReports())
    assert withdrawals.calls[-1][2] is WithdrawalState.WITHDRAWN
    assert withdrawals.calls[-1][3]["references"] == ()


def test_an_archive_corrects_what_it_holds() -> None:
    withdrawals = owed()
    run(withdrawals, MemoryArchive(), causes=frozenset())
    assert withdrawals.calls[-1] == ("finish", "w-1", WithdrawalState.KEPT, None)


PAUSE = Backoff().delay_s(3, owed().owed[0].transaction_uid)


@pytest.mark.parametrize(
    ("failure", "call"),
    [
        (Unavailable("away"), ("give_back", "w-1", "PEER-UNAVAILABLE", PAUSE)),
        (Refused("EHR-403", "no scope"), ("park", "w-1", "EHR-403", "no scope")),
    ],
)
def test_a_destination_that_cannot_or_will_not(
    failure: IntegrationError, call: tuple[Any, ...]
) -> None:
    withdrawals = owed(attempt=3)
    run(withdrawals, standing(failure))
    assert withdrawals.calls[-1] == call


def test_a_destination_that_was_taken_out_of_the_file() -> None:
    withdrawals = owed(destination="gone")
    run(withdrawals, standing())
    assert withdrawals.calls[-1][:3] == ("park", "w-1", "UNKNOWN-DESTINATION")


def test_a_withdrawal_at_which_workers_fall_silent_is_parked() -> None:
    withdrawals, reports = owed(lost_leases=3), standing()
    assert run(withdrawals, reports)
    assert [call[:3] for call in withdrawals.calls] == [("park", "w-1", "WORKERS-LOST")]
    assert reports.withdrawn == set()


@pytest.mark.parametrize("call", ["finish", "park"])
def test_a_lease_that_is_lost_at_the_end_is_the_other_workers_business(call: str) -> None:
    withdrawals = owed()
    withdrawals.failures[call] = LeaseLost("gone")
    failure = Refused("NO", "no") if call == "park" else None
    assert run(withdrawals, standing(failure))
    assert [name for name, *_ in withdrawals.calls] == ["renew"]

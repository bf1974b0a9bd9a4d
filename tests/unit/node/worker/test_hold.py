import threading

import pytest

from node.errors import LeaseLost, OutOfResources
from node.worker.hold import holding

DEADLINE_S = 20.0


def test_the_lease_is_renewed_while_the_step_works_and_not_afterwards() -> None:
    renewals: list[int] = []
    thrice = threading.Event()

    def renew() -> None:
        renewals.append(threading.get_ident())
        if len(renewals) == 3:
            thrice.set()

    with holding(0.001)(renew):
        assert thrice.wait(DEADLINE_S)
    assert renewals[0] not in {thread.ident for thread in threading.enumerate()}


def test_a_lease_that_is_lost_is_not_renewed_any_more() -> None:
    tried = threading.Event()
    count = 0

    def renew() -> None:
        nonlocal count
        count += 1
        tried.set()
        raise LeaseLost("gone")

    with holding(0.001)(renew):
        assert tried.wait(DEADLINE_S)
    assert count == 1


def test_a_database_that_fails_is_tried_again() -> None:
    renewed = threading.Event()
    failures = [OutOfResources("locked")]

    def renew() -> None:
        if failures:
            raise failures.pop()
        renewed.set()

    with holding(0.001)(renew):
        assert renewed.wait(DEADLINE_S)


def test_what_the_step_raises_is_the_steps() -> None:
    with pytest.raises(ZeroDivisionError), holding(60)(lambda: None):
        raise ZeroDivisionError

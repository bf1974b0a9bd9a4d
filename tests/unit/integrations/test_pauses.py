"""pynetdicom's pause, which whoever releases an association waits for, outlasts the answer to a report."""

import threading
from types import SimpleNamespace

import pytest

from integrations.pacs.peer import keep_pauses


def serving(*, paused: bool) -> SimpleNamespace:
    """Give an association as it is when the answer to an N-EVENT-REPORT is being sent."""
    association = SimpleNamespace(_reactor_checkpoint=threading.Event(), _is_paused=paused)
    if not paused:
        association._reactor_checkpoint.set()

    def serve(_message: object, _context_id: int) -> None:
        association._is_paused = False

    association._serve_request = serve
    keep_pauses(association)
    return association


@pytest.mark.parametrize("paused", [True, False])
def test_a_report_that_was_answered_ends_no_pause(paused: bool) -> None:
    association = serving(paused=paused)
    association._serve_request(None, 1)
    assert association._is_paused is paused

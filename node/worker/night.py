"""What the keeper does once a day: it deletes what may go, and draws up the ledger."""

from collections.abc import Callable, Mapping
from typing import Any

from node.bootstrap import Nights
from node.clock import Clock
from node.core.schedule import Daily, last_due
from node.pipeline.expire import expire
from node.store.housekeeping import LEDGER, RETENTION
from node.telemetry import log, log_error

TOLD = 100
"""So many differences of a night are stored in words."""


class Ended(Exception):
    """The keeper is to stop; the work is done again when it runs the next time."""


class Night:
    """Does the day's work when its time has come, and makes up for a night that was slept through.

    Parameters
    ----------
    nights
        What it stands on.
    clock
        Tells when.
    stopping
        Whether the keeper is to end.
    """

    def __init__(self, nights: Nights, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._nights = nights
        self._clock = clock
        self._stopping = stopping
        self._since = clock.now()
        self._recovered = False

    def look(self) -> None:
        """Do what is due; nothing most of the time.

        Raises
        ------
        OutOfResources
            Disk or database refused; the next look tries again.
        """
        try:
            self._recover()
            # deleted first: what is left over is what the ledger counts
            if self._due(RETENTION, self._nights.retention_at):
                self._expire()
            if self._due(LEDGER, self._nights.ledger_at):
                self._balance()
        except Ended:
            return

    def _due(self, work: str, daily: Daily) -> bool:
        done = self._nights.diary.last(work)
        before = self._since if done is None else done.ended_at
        return before < last_due(self._clock.now(), daily)

    def _recover(self) -> None:
        if not self._recovered:
            count = self._nights.expirable.recover()
            if count:
                log("retention recovered", count=count)
            self._recovered = True

    def _expire(self) -> None:
        begun = self._clock.now()
        done = expire(self._nights.expirable, self._nights.policy, dry=False, ended=self._stopping)
        self._watch(0)
        announcements = self._nights.prune()
        body: Mapping[str, Any] = {
            "announcements": announcements,
            "series": len(done.series),
            "instances": done.instances,
            "bytes": done.size,
            "kept": dict(done.kept),
        }
        self._nights.diary.note(RETENTION, begun, 0, body)
        log("retention done", count=len(done.series), instances=done.instances, bytes=done.size)

    def _balance(self) -> None:
        begun = self._clock.now()
        balance = self._nights.balance(self._watch)
        told = [str(one) for one in balance.differences[:TOLD]]
        body: Mapping[str, Any] = {
            "acknowledged": balance.acknowledged,
            "accounted": balance.accounted,
            "instances": dict(balance.instances),
            "differences": told,
        }
        self._nights.diary.note(LEDGER, begun, balance.found, body)
        seconds = round(self._clock.now() - begun, 3)
        if balance.adds_up:
            log("ledger adds up", count=balance.acknowledged, seconds=seconds)
        else:
            kinds = ", ".join(sorted({one.code for one in balance.differences}))
            log_error("ledger differs", count=balance.found, reason=kinds, seconds=seconds)

    def _watch(self, _: int) -> None:
        if self._stopping():
            raise Ended

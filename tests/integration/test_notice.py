"""An archive is told that AI did not run, in whose words, once: killed anywhere."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from inference.card import Card
from inference.results.profile import PROFILES, Notice
from node.clock import SystemClock
from node.pipeline.apart import Apart
from node.pipeline.notify import SOMETHING, WORDS, Notifier, notify
from node.store import schema
from node.store.notices import NoticeStore
from tests.integration.test_fallback import Killed, Killer, Node, brain_card, node
from tests.peers.receiver import running_receiver
from tests.unit.docs.pages import page

__all__ = ["brain_card"]  # a fixture
pytestmark = pytest.mark.peers

TOLD = replace(PROFILES["generic-pacs"], notice=Notice.SR)


def told(one: Node, cards: dict[str, Card] | None = None) -> None:
    """Tell of whatever is to be told."""
    notices = NoticeStore(one.store.database)
    notifier = Notifier(
        notices=notices,
        cards=one.cards if cards is None else cards,
        workshop=replace(one.workshop, profiles={**PROFILES, "generic-pacs": TOLD}),
        files=one.files,
        clock=SystemClock(),
    )
    notify(notices.due(), notifier, Apart(SystemClock()))


def cancel(one: Node, number: int, reason: str = "MODEL-FAILED") -> None:
    one.order(number)
    one.store.jobs.cancel(one.store.claimed(), reason, "ValueError: of Doe, Colin")


def test_killed_at_any_commit_it_is_told_once(
    tmp_path: Path, brain_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, killed = 0, True
    with running_receiver(tmp_path / "archive") as archive:
        while killed:
            point += 1
            archive.reset()
            run = tmp_path / f"run{point}"
            with node(run, brain_card, "pacs", archive.ae_title, archive.port) as one:
                cancel(one, point)
                with monkeypatch.context() as patch:
                    killer = Killer(patch, point, after=bool(point % 2))
                    with suppress(Killed):
                        told(one)
                        one.deliver()
                    killed = killer.left <= 0
                told(one)
                one.store.expire_leases()
                one.deliver()
                one.confirm()
                (report,) = archive.received
                assert report.status == 0
                assert set(one.delivered().values()) == {"CONFIRMED"}
                assert one.differences() == []
    assert point > 5


LATE = """
    INSERT INTO expectation (study_instance_uid, rule, model, deadline_at, state, reason, judged_at)
    SELECT study_instance_uid, 'heads', model, 0, 'MISSED', 'NO-WORKER-FREE', created_at + 1 FROM job
"""


@pytest.mark.long
def test_killed_at_any_commit_a_late_job_is_told_of_once_and_its_result_takes_the_place(
    tmp_path: Path, brain_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, killed, stood = 0, True, set()
    with running_receiver(tmp_path / "archive") as archive:
        while killed:
            point += 1
            archive.reset()
            run = tmp_path / f"run{point}"
            with node(run, brain_card, "pacs", archive.ae_title, archive.port) as one:
                one.order(point)
                one.store.write(LATE)
                with monkeypatch.context() as patch:
                    killer = Killer(patch, point, after=True)
                    with suppress(Killed):
                        told(one)
                        one.deliver()
                        one.analyse()
                        one.deliver()
                    killed = killer.left <= 0
                told(one)
                one.store.expire_leases()
                one.analyse()
                one.deliver()
                one.confirm()
                states = {row.profile: row.state for row in one.store.rows(schema.result_set)}
                assert states == {"delay:generic-pacs": "SUPERSEDED", "generic-pacs": "CURRENT"}
                arrived = [item.sop_instance_uid for item in archive.received]
                assert len(arrived) == len(set(arrived))
                delivered = one.delivered()
                assert delivered["generic-pacs"] == "CONFIRMED"
                taken_back = len(one.store.rows(schema.withdrawal))
                assert taken_back == (delivered["delay:generic-pacs"] == "CONFIRMED")
                assert len(arrived) == 2 + taken_back
                assert one.differences() == []
                stood.add(delivered["delay:generic-pacs"])
    assert point > 10
    assert stood == {"CONFIRMED", "PARKED"}


def test_what_a_program_said_is_not_repeated(tmp_path: Path, brain_card: Card) -> None:
    with (
        running_receiver(tmp_path / "archive") as archive,
        node(tmp_path / "node", brain_card, "pacs", archive.ae_title, archive.port) as one,
    ):
        cancel(one, 1)
        told(one)
        (row,) = one.store.rows(schema.result_set)
        assert row.report["conclusion"].startswith("AI did not run, because the model failed")
        assert "ValueError" not in row.report["conclusion"]
        assert row.report["findings"] == []


@pytest.mark.parametrize("gone", ["model", "image"])
def test_what_cannot_be_told_stands_in_the_story(
    tmp_path: Path, brain_card: Card, gone: str
) -> None:
    with (
        running_receiver(tmp_path / "archive") as archive,
        node(tmp_path / "node", brain_card, "pacs", archive.ae_title, archive.port) as one,
    ):
        cancel(one, 1)
        if gone == "image":
            (one.files.root / one.store.rows(schema.instance)[0].path).unlink()
        told(one, {} if gone == "model" else None)
        told(one)  # once is enough
        (row,) = [row for row in one.store.rows(schema.event) if row.what == "no notice"]
        assert row.detail.startswith("MODEL-FAILED: ")
        assert one.store.rows(schema.result_set) == []


def test_the_words_are_of_reasons_that_there_are() -> None:
    written = page("reference/errors-and-reasons.md")
    assert [code for code in WORDS if f"| `{code}` |" not in written] == []
    assert SOMETHING not in WORDS.values()

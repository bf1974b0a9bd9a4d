import pytest
import structlog

from inference import card, rehearsal
from inference.card import Card
from inference.errors import SeriesUnusable
from inference.results.objects import Equipment
from node.bootstrap import work
from node.cli.models import REPOSITORY

EQUIPMENT = Equipment(model_name="Overread", device_serial_number="1", software_versions=("0",))


@pytest.fixture
def brain_card() -> Card:
    return card.load(REPOSITORY / "brain-extraction")


def test_one_card_is_rehearsed_before_the_first_bell(
    brain_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed: list[Card] = []
    monkeypatch.setattr(rehearsal, "rehearse", lambda one, _: rehearsed.append(one))
    work._rehearse({"a": brain_card, "b": brain_card}, EQUIPMENT)
    work._rehearse({}, EQUIPMENT)
    assert rehearsed == [brain_card]


@pytest.mark.parametrize(
    "failure", [SeriesUnusable("GAP", "one slice"), OSError(28, "full"), ValueError("a long label")]
)
def test_a_rehearsal_that_fails_stops_no_worker(
    brain_card: Card, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(rehearsal, "rehearse", fail)
    with structlog.testing.capture_logs() as told:
        work._rehearse({brain_card.key: brain_card}, EQUIPMENT)
    assert [record["event"] for record in told] == ["analysis not rehearsed"]

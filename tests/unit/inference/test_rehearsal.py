import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from inference.card import Card, Input
from inference.errors import GateRefused, InferenceError
from inference.rehearsal import rehearse
from inference.results import gate
from inference.results.objects import Equipment, Kind, ResultObjects
from inference.selection import Selection
from inference.volume import Series

EQUIPMENT = Equipment(model_name="Overread", device_serial_number="1", software_versions=("0",))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_rehearsal_goes_the_whole_way_and_leaves_no_trace(
    temporary: Path, brain_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[ResultObjects] = []
    true_check = gate.check

    def check(objects: ResultObjects, series: Series) -> None:
        assert list(temporary.iterdir())
        true_check(objects, series)
        checked.append(objects)

    monkeypatch.setattr(gate, "check", check)
    rehearse(brain_card, EQUIPMENT)
    (objects,) = checked
    assert [item.kind for item in objects] == [Kind.SEG, Kind.SC, Kind.SR]
    assert not list(temporary.iterdir())


def test_a_model_of_two_inputs_is_rehearsed_too(temporary: Path, brain_card: Card) -> None:
    inputs = tuple(Input(name=name, select=Selection()) for name in ("t1", "flair"))
    rehearse(replace(brain_card, inputs=inputs), EQUIPMENT)


def test_a_rehearsal_that_fails_leaves_no_trace_either(
    temporary: Path, brain_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise GateRefused(("a fault",))

    monkeypatch.setattr(gate, "check", refuse)
    with pytest.raises(InferenceError):
        rehearse(brain_card, EQUIPMENT)
    assert not list(temporary.iterdir())

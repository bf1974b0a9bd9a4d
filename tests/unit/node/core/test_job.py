from enum import StrEnum
from typing import TypeVar

import pytest

from node.core.job import (
    TRANSITIONS,
    DeliveryState,
    InstanceState,
    JobState,
    Readiness,
    ResultState,
    move,
)
from node.errors import IllegalTransition

LEGAL = {
    ("JobState", "SCHEDULED", "IN PROGRESS"),
    ("JobState", "SCHEDULED", "CANCELED"),
    ("JobState", "IN PROGRESS", "IN PROGRESS"),
    ("JobState", "IN PROGRESS", "SCHEDULED"),
    ("JobState", "IN PROGRESS", "COMPLETED"),
    ("JobState", "IN PROGRESS", "CANCELED"),
    ("Readiness", "INCOMPLETE", "READY"),
    ("Readiness", "INCOMPLETE", "UNAVAILABLE"),
    ("ResultState", "CURRENT", "SUPERSEDED"),
    ("ResultState", "CURRENT", "RETRACTED"),
    ("ResultState", "SUPERSEDED", "RETRACTED"),
    ("DeliveryState", "OWED", "SENT"),
    ("DeliveryState", "OWED", "CONFIRMED"),
    ("DeliveryState", "OWED", "PARKED"),
    ("DeliveryState", "SENT", "CONFIRMED"),
    ("DeliveryState", "SENT", "WITHDRAWN"),
    ("DeliveryState", "SENT", "OWED"),
    ("DeliveryState", "SENT", "PARKED"),
    ("DeliveryState", "CONFIRMED", "WITHDRAWN"),
    ("DeliveryState", "CONFIRMED", "OWED"),
    ("DeliveryState", "CONFIRMED", "PARKED"),
    ("DeliveryState", "PARKED", "OWED"),
    ("InstanceState", "OWED", "SENDING"),
    ("InstanceState", "OWED", "SENT"),
    ("InstanceState", "SENDING", "SENDING"),
    ("InstanceState", "SENDING", "SENT"),
    ("InstanceState", "SENT", "OWED"),
}
"""Kind of state, from, to: written down a second time, so that a change of the tables is a decision."""

State = TypeVar("State", JobState, Readiness, ResultState, DeliveryState, InstanceState)


def check(before: State, after: State) -> None:
    if (type(before).__name__, str(before), str(after)) in LEGAL:
        assert move(before, after) is after
    else:
        with pytest.raises(
            IllegalTransition, match=f"{type(before).__name__}: {before} -> {after}"
        ):
            move(before, after)


@pytest.mark.parametrize("before", list(JobState))
@pytest.mark.parametrize("after", list(JobState))
def test_job_states(before: JobState, after: JobState) -> None:
    check(before, after)


@pytest.mark.parametrize("before", list(Readiness))
@pytest.mark.parametrize("after", list(Readiness))
def test_input_readiness(before: Readiness, after: Readiness) -> None:
    check(before, after)


@pytest.mark.parametrize("before", list(ResultState))
@pytest.mark.parametrize("after", list(ResultState))
def test_result_states(before: ResultState, after: ResultState) -> None:
    check(before, after)


@pytest.mark.parametrize("before", list(DeliveryState))
@pytest.mark.parametrize("after", list(DeliveryState))
def test_delivery_states(before: DeliveryState, after: DeliveryState) -> None:
    check(before, after)


@pytest.mark.parametrize("before", list(InstanceState))
@pytest.mark.parametrize("after", list(InstanceState))
def test_instance_states(before: InstanceState, after: InstanceState) -> None:
    check(before, after)


def test_states_of_different_kinds_do_not_meet_though_they_are_spelled_alike() -> None:
    # StrEnum members compare and hash as their text
    with pytest.raises(IllegalTransition):
        move(InstanceState.OWED, DeliveryState.CONFIRMED)  # type: ignore[type-var] # the mistake itself
    assert move(InstanceState.OWED, InstanceState.SENDING) is InstanceState.SENDING


def test_every_state_has_a_row() -> None:
    kinds: list[type[StrEnum]] = [JobState, Readiness, ResultState, DeliveryState, InstanceState]
    assert set(TRANSITIONS) == set(kinds)
    for kind in kinds:
        assert set(TRANSITIONS[kind]) == set(kind)

from dataclasses import replace

import pytest

from node.core.retention import DAY_S, Holding, Policy, Work, decide, longest

DONE = Work(state="COMPLETED", model="brain", rule="heads", ended_at=1000.0)
CONFIRMED = Work(state="CONFIRMED", ended_at=2000.0)
HOLDING = Holding(
    series_instance_uid="2.25.200",
    study_instance_uid="2.25.100",
    instances=3,
    size=300,
    dispatched=True,
    last_at=500.0,
    jobs=(DONE,),
    deliveries=(CONFIRMED, replace(CONFIRMED, ended_at=3000.0)),
    ordered=1,
    held=False,
)
TEN_DAYS = Policy(keep_days=10, unrouted_keep_days=10, rules={})
LATER = 1e9


def test_a_series_goes_when_its_last_delivery_is_confirmed_and_the_period_is_over() -> None:
    end = 3000 + 10 * DAY_S
    assert decide(HOLDING, TEN_DAYS, end).goes
    kept = decide(HOLDING, TEN_DAYS, end - 1)
    assert (kept.goes, kept.reason, kept.due_at) == (False, "PERIOD-RUNS", end)


def test_by_default_everything_is_kept_for_ever() -> None:
    for holding in (HOLDING, replace(HOLDING, jobs=(), deliveries=(), ordered=0)):
        verdict = decide(holding, Policy(rules={"heads": None}), LATER)
        assert (verdict.goes, verdict.reason) == (False, "KEPT-FOREVER")


def test_a_series_that_no_rule_wanted_has_its_own_period() -> None:
    unrouted = replace(HOLDING, jobs=(), deliveries=(), ordered=0)
    policy = Policy(keep_days=None, unrouted_keep_days=1, rules={})
    assert decide(unrouted, policy, 500 + DAY_S).reason == "UNROUTED-AND-KEPT"
    assert not decide(unrouted, policy, 499 + DAY_S).goes
    assert not decide(HOLDING, policy, LATER).goes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dispatched": False}, "STILL-WAITING"),
        ({"dispatched": False, "jobs": (), "deliveries": (), "ordered": 0}, "STILL-WAITING"),
        ({"jobs": (replace(DONE, state="SCHEDULED", ended_at=None),)}, "JOB-OWED"),
        ({"jobs": (DONE, replace(DONE, state="IN PROGRESS"))}, "JOB-OWED"),
        ({"jobs": (replace(DONE, state="CANCELED", reason="GAP"),)}, "JOB-PARKED"),
        (
            {"jobs": (DONE, replace(DONE, state="CANCELED", reason="GAP", model="lung"))},
            "JOB-PARKED",
        ),
        (
            {"jobs": (DONE, replace(DONE, state="CANCELED", reason="GAP", ended_at=1001.0))},
            "JOB-PARKED",
        ),
        ({"deliveries": (CONFIRMED, replace(CONFIRMED, state="OWED"))}, "DELIVERY-OWED"),
        ({"deliveries": (CONFIRMED, replace(CONFIRMED, state="SENT"))}, "DELIVERY-OWED"),
        (
            {"deliveries": (CONFIRMED, replace(CONFIRMED, state="PARKED", reason="EHR-403"))},
            "DELIVERY-PARKED",
        ),
        ({"held": True}, "HELD-BY-COMMITMENT"),
        ({"ordered": 2}, "LEDGER-DIFFERS"),
        ({"jobs": (), "deliveries": ()}, "LEDGER-DIFFERS"),
    ],
)
def test_what_no_period_can_overrule(changes: dict[str, object], reason: str) -> None:
    holding: Holding = replace(HOLDING, **changes)  # type: ignore[arg-type] # fields of Holding
    policy = Policy(keep_days=0, unrouted_keep_days=0, rules={"heads": 0})
    verdict = decide(holding, replace(policy), LATER)
    assert (verdict.goes, verdict.reason) == (False, reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"jobs": (DONE, replace(DONE, state="CANCELED", reason="GAP", ended_at=900.0))},
        {"jobs": (DONE, replace(DONE, state="CANCELED", reason="OVERTAKEN"))},
        {"deliveries": (replace(CONFIRMED, state="PARKED", reason="SUPERSEDED"),)},
        {"deliveries": (replace(CONFIRMED, state="WITHDRAWN"),)},
        {"deliveries": ()},
    ],
)
def test_what_something_newer_took_the_place_of_is_settled(changes: dict[str, object]) -> None:
    holding: Holding = replace(HOLDING, **changes)  # type: ignore[arg-type] # fields of Holding
    assert decide(holding, TEN_DAYS, LATER).goes


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("heads", 3.0),
        ("heads, chests", 30.0),
        ("heads, for ever", None),
        ("one, with a comma", 5.0),
        ("gone", 10.0),
        ("heads, gone", 10.0),
    ],
)
def test_the_days_of_a_rule(rule: str, days: float | None) -> None:
    rules = {"heads": 3.0, "chests": 30.0, "for ever": None, "one, with a comma": 5.0}
    assert Policy(keep_days=10.0, rules=rules).days(rule) == days


def test_a_series_of_several_jobs_is_kept_for_the_longest() -> None:
    assert longest([1.0, 3.0, 2.0]) == 3.0
    assert longest([1.0, None]) is None
    assert longest([]) is None

"""What is expected by when: noted while a study arrives, judged when its time is over."""

from functools import partial

from node.core.criteria import Criteria
from node.core.expectation import Due, Newcomer, expectations, judge
from node.core.ports import Expectations
from node.pipeline.apart import Apart
from node.pipeline.routes import Routes
from node.telemetry import log


def expect(store: Expectations, routes: Routes, apart: Apart) -> None:
    """Ask the rules with a deadline about every new series.

    Parameters
    ----------
    apart
        Keeps a series that meets a bug from stopping the others.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    criteria = routes.criteria
    for newcomer in store.newcomers():
        uid = newcomer.series_instance_uid
        work = partial(_expect, newcomer, store, criteria)
        apart.run(f"expect {uid}", work, series_instance_uid=uid)


def _expect(newcomer: Newcomer, store: Expectations, criteria: Criteria) -> None:
    store.expect(newcomer, expectations(criteria, newcomer))


def judge_due(store: Expectations, routes: Routes, apart: Apart) -> None:
    """Say of every expectation whose time is over whether it was met, and if not, why.

    Parameters
    ----------
    apart
        Keeps a study that meets a bug from stopping the others.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    for due in store.due():
        uid = due.study_instance_uid
        work = partial(_judge, due, store, routes)
        apart.run(f"judge {uid} {due.rule}", work, study_instance_uid=uid)


def _judge(due: Due, store: Expectations, routes: Routes) -> None:
    peer = due.series[0].peer if due.series else ""
    judgement = judge(due, routes.criteria, routes.quiet_of(peer))
    store.judge(due, judgement)
    if judgement.reason is not None:
        log(
            "AI did not run",
            study_instance_uid=due.study_instance_uid,
            rule=due.rule,
            model=due.model,
            reason=judgement.reason,
        )

"""Step 5: decide which models read a series; jobs and their bells in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from node.core.choice import Candidate, Decision, Turn, turn
from node.core.completeness import Evidence
from node.core.criteria import Asked, Criteria
from node.core.identifiers import input_digest, job_id
from node.core.job import JobRequest
from node.core.ports import Intake, Jobs
from node.core.prior import FETCHED
from node.core.routing import Rule, priority
from node.core.study import NOT_IMAGES, SeriesOfStudy, StoredSeries
from node.pipeline.apart import Apart
from node.pipeline.routes import Routes
from node.telemetry import log


def dispatch(intake: Intake, jobs: Jobs, routes: Routes, apart: Apart) -> None:
    """Ask every rule about every series that was closed.

    A series that something is missing of still gets its job, canceled with the reason: a study that was
    expected and not analysed must say so.

    Parameters
    ----------
    apart
        Keeps a series that meets a bug from stopping the others.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    for series in intake.undispatched_series():
        uid = series.series_instance_uid
        work = partial(_route, series, jobs, routes)
        apart.run(f"dispatch {uid}", work, series_instance_uid=uid)


def _route(series: StoredSeries, jobs: Jobs, routes: Routes) -> None:
    """Ask the rules that have not decided yet; each of them fires, or waits, for itself."""
    if series.prior:
        note = f"{FETCHED}: series {series.series_instance_uid}: an archive was asked for it, to compare with"
        _told(series, jobs, (), (note,), (), FETCHED)
        return
    criteria = routes.criteria
    why = criteria.excluded(series.facts) if series.waiting is None else None
    if why is not None:
        note = f"{why[0]}: series {series.series_instance_uid}: {why[1]}"
        _told(series, jobs, (), (note,), (), why[0])
        return
    asked = [criteria.ask(rule, series.facts) for rule in _undecided(series, routes.rules)]
    siblings = (
        jobs.siblings(series.study_instance_uid)
        if any(answer.fires and answer.rule.prefer for answer in asked)
        else []
    )
    turns = {
        answer.rule: _turn(series, answer.rule, siblings, routes)
        for answer in asked
        if answer.fires
    }
    decisions = [_decision(answer, turns.get(answer.rule, Turn.UNWANTED)) for answer in asked]
    waiting = tuple(one.rule for one in decisions if one.turn is Turn.WAITS)
    if series.waiting is not None and waiting == series.waiting:
        return
    fired = [_request(series, rule, routes) for rule, now in turns.items() if now is Turn.FIRES]
    passed = [
        f"PASSED-OVER: series {series.series_instance_uid}: rule {rule.name}: a better one is complete"
        for rule, now in turns.items()
        if now is Turn.PASSED_OVER
    ]
    quiet = turns or series.waiting is not None
    _told(series, jobs, _merged(fired), passed if quiet else _notes(series, asked), decisions, None)


def _undecided(series: StoredSeries, rules: Sequence[Rule]) -> list[Rule]:
    return [rule for rule in rules if series.waiting is None or rule.name in series.waiting]


def _decision(answer: Asked, now: Turn) -> Decision:
    why = {
        Turn.UNWANTED: "; ".join(answer.failures),
        Turn.PASSED_OVER: "a better series is complete",
        Turn.WAITS: "for a better series",
    }
    return Decision(rule=answer.rule.name, turn=now, why=why.get(now, ""))


def _told(
    series: StoredSeries,
    jobs: Jobs,
    requests: Sequence[JobRequest],
    notes: Sequence[str],
    decisions: Sequence[Decision],
    reason: str | None,
) -> None:
    jobs.dispatch(series, requests, notes, reason, decisions)
    log(
        "series dispatched",
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        count=len(requests),
        reason=reason,
    )


def _turn(
    series: StoredSeries, rule: Rule, siblings: Sequence[SeriesOfStudy], routes: Routes
) -> Turn:
    if not rule.prefer:
        return Turn.FIRES
    now = routes.clock.now()
    silent_s = now - max(one.last_arrival for one in siblings)
    quiet = silent_s >= routes.quiet_of(series.peer).long_s and all(
        one.closed_at is not None for one in siblings
    )
    mine, others = _candidates(series, rule, siblings, routes.criteria)
    if mine is None:
        # something is missing of it: a better choice or its own fault, nothing to wait for
        return Turn.PASSED_OVER if others else Turn.FIRES
    return turn(rule, mine, others, quiet=quiet, now=now)


def _candidates(
    series: StoredSeries, rule: Rule, siblings: Sequence[SeriesOfStudy], criteria: Criteria
) -> tuple[Candidate | None, list[Candidate]]:
    found = [criteria.candidate(rule, one) for one in siblings]
    complete = {one.series_instance_uid: one for one in found if one is not None}
    mine = complete.pop(series.series_instance_uid, None)
    return mine, list(complete.values())


def _request(series: StoredSeries, rule: Rule, routes: Routes) -> JobRequest:
    card = routes.cards[rule.model]
    evidence = Evidence.from_record(series.evidence or {})
    digest = input_digest(series.instances)
    return JobRequest(
        job_id=job_id(
            study_instance_uid=series.study_instance_uid,
            model=card.key,
            version=card.version,
            digest=digest,
            request=0,
        ),
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        model=card.key,
        version=card.version,
        rule=rule.name,
        inputs={card.inputs[0].name: tuple(uid for uid, _ in series.instances)},
        digest=digest,
        request=0,
        priority=priority(rule, routes.priority_of(series.peer), series.facts),
        deadline_s=rule.deadline_s,
        destinations=tuple(dict.fromkeys(rule.destinations or routes.results_to(series.peer))),
        evidence=evidence.as_record(),
        canceled=(evidence.fault, evidence.detail or "") if evidence.fault else None,
    )


def _merged(requests: Sequence[JobRequest]) -> list[JobRequest]:
    """Make one job of what several rules ask of one model: the most urgent, to all destinations."""
    merged: dict[str, JobRequest] = {}
    for request in requests:
        first = merged.setdefault(request.job_id, request)
        if first is not request:
            merged[request.job_id] = replace(
                first,
                rule=f"{first.rule}, {request.rule}"[:255],
                priority=max(first.priority, request.priority),
                deadline_s=_sooner(first.deadline_s, request.deadline_s),
                destinations=tuple(dict.fromkeys((*first.destinations, *request.destinations))),
            )
    return list(merged.values())


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((s for s in (one, other) if s is not None), default=None)


def _notes(series: StoredSeries, asked: Sequence[Asked]) -> list[str]:
    if series.facts.get("Modality") in NOT_IMAGES:
        return []
    what = f"series {series.series_instance_uid}"
    if not asked:
        return [f"NO-RULES: {what}: the configuration has no rule"]
    return [
        f"NO-RULE-MATCHED: {what}: rule {answer.rule.name}: {'; '.join(answer.failures)}"
        for answer in asked
    ]

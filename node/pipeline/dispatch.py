"""Step 5: decide which models read a series; jobs and their bells in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from inference.card import Card
from node.clock import Clock, SystemClock
from node.core.completeness import Evidence, QuietTimes
from node.core.exclusion import EVERY_KIND, Exclusion, excluded
from node.core.identifiers import input_digest, job_id
from node.core.job import JobRequest
from node.core.ports import Intake, Jobs
from node.core.routing import Asked, Candidate, Rule, Turn, ask, priority, turn
from node.core.study import NOT_IMAGES, SeriesOfStudy, StoredSeries
from node.pipeline.apart import Apart
from node.telemetry import log


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What decides which model reads a series, and who gets the result.

    Parameters
    ----------
    rules
        In the order of the configuration.
    cards
        The installed models, by name; each rule's is among them.
    results_to
        Where the results of a peer's studies go, by the peer's name.
    exclusions
        What no rule is asked about.
    priority_of
        How urgent a peer's studies are, by the peer's name.
    quiet_of
        After which silence nothing more of a peer's study is expected.
    clock
        Against which waiting is measured.
    """

    rules: Sequence[Rule]
    cards: Mapping[str, Card]
    results_to: Callable[[str], tuple[str, ...]]
    exclusions: Sequence[Exclusion] = EVERY_KIND
    priority_of: Callable[[str], int] = lambda _: 0
    quiet_of: Callable[[str], QuietTimes] = lambda _: QuietTimes(short_s=5.0, long_s=120.0)
    clock: Clock = field(default_factory=SystemClock)


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
    why = excluded(routes.exclusions, series.facts)
    if why is not None:
        note = f"{why[0]}: series {series.series_instance_uid}: {why[1]}"
        _told(series, jobs, (), (note,), why[0])
        return
    wanted = {name: card.inputs[0].select for name, card in routes.cards.items()}
    asked = ask(routes.rules, wanted, series.facts)
    turns = {
        answer.rule: _turn(series, answer.rule, jobs, routes) for answer in asked if answer.fires
    }
    # a series is dispatched once, with all of its jobs: a rule that waits holds the others, which is at
    # most its `wait_s`, and so rules of one model still make one job
    if Turn.WAITS in turns.values():
        return
    fired = [_request(series, rule, routes) for rule, now in turns.items() if now is Turn.FIRES]
    passed = [
        f"PASSED-OVER: series {series.series_instance_uid}: rule {rule.name}: a better one is complete"
        for rule, now in turns.items()
        if now is Turn.PASSED_OVER
    ]
    _told(series, jobs, _merged(fired), passed if turns else _notes(series, asked), None)


def _told(
    series: StoredSeries,
    jobs: Jobs,
    requests: Sequence[JobRequest],
    notes: Sequence[str],
    reason: str | None,
) -> None:
    jobs.dispatch(series, requests, notes, reason)
    log(
        "series dispatched",
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        count=len(requests),
        reason=reason,
    )


def _turn(series: StoredSeries, rule: Rule, jobs: Jobs, routes: Routes) -> Turn:
    if not rule.prefer:
        return Turn.FIRES
    siblings = jobs.siblings(series.study_instance_uid)
    now = routes.clock.now()
    silent_s = now - max(one.last_arrival for one in siblings)
    quiet = silent_s >= routes.quiet_of(series.peer).long_s and all(
        one.closed_at is not None for one in siblings
    )
    mine: list[Candidate] = []
    others: list[Candidate] = []
    for one in siblings:
        candidate = _candidate(one, rule, routes)
        is_mine = one.series_instance_uid == series.series_instance_uid
        if candidate is not None:
            (mine if is_mine else others).append(candidate)
    if (
        not mine
    ):  # something is missing of it: a better choice or its own fault, nothing to wait for
        return Turn.PASSED_OVER if others else Turn.FIRES
    return turn(rule, mine[0], others, quiet=quiet, now=now)


def _candidate(one: SeriesOfStudy, rule: Rule, routes: Routes) -> Candidate | None:
    if one.closed_at is None or not one.complete or excluded(routes.exclusions, one.facts):
        return None
    wanted = {rule.model: routes.cards[rule.model].inputs[0].select}
    (asked,) = ask([rule], wanted, one.facts)
    if not asked.fires:
        return None
    return Candidate(
        series_instance_uid=one.series_instance_uid,
        rank=rule.rank(one.facts),
        instances=one.instances,
        closed_at=one.closed_at,
    )


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

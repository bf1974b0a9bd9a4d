"""Step 5: decide which models read a series; jobs and their bells in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from inference.card import Card
from node.core.completeness import Evidence
from node.core.identifiers import input_digest, job_id
from node.core.job import JobRequest
from node.core.ports import Intake, Jobs
from node.core.routing import Asked, Rule, ask
from node.core.study import NOT_IMAGES, StoredSeries
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
    """

    rules: Sequence[Rule]
    cards: Mapping[str, Card]
    results_to: Callable[[str], tuple[str, ...]]


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
    wanted = {name: card.inputs[0].select for name, card in routes.cards.items()}
    asked = ask(routes.rules, wanted, series.facts)
    fired = [_request(series, answer.rule, routes) for answer in asked if answer.fires]
    requests = _merged(fired)
    jobs.dispatch(series, requests, () if requests else _notes(series, asked))
    log(
        "series dispatched",
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        count=len(requests),
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
        priority=rule.priority,
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
                destinations=tuple(dict.fromkeys((*first.destinations, *request.destinations))),
            )
    return list(merged.values())


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

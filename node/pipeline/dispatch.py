"""Step 5: decide which models read a series; jobs and their bells in one transaction."""

from collections.abc import Callable, Mapping, Sequence

from inference.card import Card
from node.core.completeness import Evidence
from node.core.identifiers import input_digest, job_id
from node.core.job import JobRequest
from node.core.ports import Intake, Jobs
from node.core.routing import Asked, Rule, ask
from node.core.study import NOT_IMAGES, StoredSeries
from node.telemetry import log


def dispatch(
    intake: Intake,
    jobs: Jobs,
    rules: Sequence[Rule],
    cards: Mapping[str, Card],
    results_to: Callable[[str], tuple[str, ...]],
) -> int:
    """Ask every rule about every series that was closed; return how many jobs were ordered.

    A series that something is missing of still gets its job, canceled with the reason: a study that was
    expected and not analysed must say so.

    Parameters
    ----------
    results_to
        Where the results of a peer's studies go, by the peer's name.

    Raises
    ------
    OutOfResources
        The records could not be written; the next round tries again.
    """
    ordered = 0
    wanted = {name: card.inputs[0].select for name, card in cards.items()}
    for series in intake.undispatched_series():
        asked = ask(rules, wanted, series.facts)
        requests = [
            _request(series, answer.rule, cards[answer.rule.model], results_to)
            for answer in asked
            if answer.fires
        ]
        jobs.dispatch(series, requests, () if requests else _notes(series, asked))
        ordered += len(requests)
        log(
            "series dispatched",
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            count=len(requests),
        )
    return ordered


def _request(
    series: StoredSeries, rule: Rule, card: Card, results_to: Callable[[str], tuple[str, ...]]
) -> JobRequest:
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
        destinations=rule.destinations or results_to(series.peer),
        evidence=evidence.as_record(),
        canceled=(evidence.fault, evidence.detail or "") if evidence.fault else None,
    )


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

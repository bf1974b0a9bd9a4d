"""Step 8: one job. Files and context in; results stored, deliveries owed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from inference.analysis import analyse
from inference.card import Card
from inference.errors import CardInvalid, SeriesUnusable
from inference.findings import Result
from inference.rendering import overlay, png
from inference.results.answer import pack
from inference.results.profile import GENERIC_PACS, PROFILES
from inference.results.summary import page
from inference.server import ModelServer
from inference.volume import Series, load_volume, read_series
from node.clock import Clock, at
from node.core.job import Claim, ResultSet
from node.core.pictures import KEY_SLICES, OVERLAY, PAGE, key_slice
from node.core.ports import Files, Hold, Jobs
from node.errors import LeaseLost, OutOfResources
from node.pipeline.forms import Made, Workshop, kept, objects_of
from node.pipeline.retry import Again, Handled, decide
from node.pipeline.translate import context_for_model, require_identity
from node.telemetry import log, log_failure

ANSWER = "answer.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What an analysis stands on.

    Parameters
    ----------
    cards
        The models, by name.
    server
        Runs their networks.
    workshop
        What result objects are made with.
    lost_leases
        After so many workers that claimed a job and fell silent, it is canceled.
    """

    cards: Mapping[str, Card]
    server: ModelServer
    workshop: Workshop
    lost_leases: int


def analyse_next(jobs: Jobs, files: Files, bench: Bench, hold: Hold, clock: Clock) -> bool:
    """Take the most urgent owed job and do it; False when nothing was owed.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the job is claimed again.
    """
    claim = jobs.claim()
    if claim is None:
        return False
    log("job claimed", job_id=claim.job_id, attempt=claim.attempt, model=claim.model)
    try:
        result = _held(claim, jobs, files, bench, hold, at(clock.now()))
    except LeaseLost:
        files.discard_results(claim.transaction_uid)
        log("lease lost", job_id=claim.job_id, transaction_uid=claim.transaction_uid)
    except Handled as error:
        if _settled(claim, jobs, error):
            files.discard_results(claim.transaction_uid)
    else:
        _draw(claim, result, files)
    return True


def _held(
    claim: Claim, jobs: Jobs, files: Files, bench: Bench, hold: Hold, created: datetime
) -> Result | None:
    if claim.lost_leases >= bench.lost_leases:
        detail = f"{claim.lost_leases} workers claimed this job and were not heard of again"
        jobs.cancel(claim, "WORKERS-LOST", detail)
        return None
    with hold(lambda: jobs.renew(claim)):
        return _do(claim, jobs, files, bench, created)


def _draw(claim: Claim, result: Result | None, files: Files) -> None:
    """Keep the pictures of the status page, after the results: nobody waits for them, nothing hangs on them.

    The overlay comes first: it has a record, and what stands beside it goes when it goes.
    """
    if result is None:
        return
    try:
        picture = overlay(load_volume(result.series), result)
        files.keep_result(claim.transaction_uid, OVERLAY, picture)
        _keep_key_slices(claim, result, files)
    except (SeriesUnusable, OutOfResources) as error:
        log_failure("picture not drawn", error, job_id=claim.job_id)


def _keep_key_slices(claim: Claim, result: Result, files: Files) -> None:
    shown = []
    for number, picture in enumerate(result.pictures, start=1):
        files.keep_result(claim.transaction_uid, key_slice(number), png(picture.pixels))
        shown.append({
            "file": key_slice(number),
            "slice": picture.index + 1,
            "slices": len(result.series.planes),
            "shows": picture.shows,
            "lines": picture.lines,
        })
    told = json.dumps(shown, indent=1).encode()
    files.keep_result(claim.transaction_uid, KEY_SLICES, told)


def _do(claim: Claim, jobs: Jobs, files: Files, bench: Bench, created: datetime) -> Result:
    card = _card(bench, claim)
    series = {
        name: read_series(files.root / path for path in paths)
        for name, paths in claim.files.items()
    }
    for one in series.values():
        require_identity(claim.identity, one.headers)
    context = context_for_model(claim.context, card.context)
    found = {name: _prior(files, paths) for name, paths in claim.priors.items()}
    priors: Mapping[str, Series | str] = {**claim.no_priors, **found}
    result = analyse(card, series, context, priors, server=bench.server)
    page = _keep_page(claim, result, files, bench.workshop)
    made = Made(job=claim, result=result, created=created, page=page)
    result_sets = _in_every_form(made, files, bench.workshop)
    jobs.publish(claim, *result_sets)
    count = sum(len(one.instances) for one in result_sets)
    log("results stored", job_id=claim.job_id, instances=count, server=result.server)
    return result


def _prior(files: Files, paths: Sequence[str]) -> Series | str:
    """Return a series to compare with, or why it is none; whose it is was compared when it was found."""
    try:
        return read_series(files.root / path for path in paths)
    except SeriesUnusable as error:
        return error.reason


def _keep_page(claim: Claim, result: Result, files: Files, workshop: Workshop) -> str | None:
    """Keep the page for a record, before anything is owed to it; None where no record gets the result.

    Laboratory values are not repeated in it: the record has them.
    """
    if set(claim.destinations) <= workshop.wishes.keys():
        return None
    drawn = page(result, PROFILES[GENERIC_PACS])
    return files.keep_result(claim.transaction_uid, PAGE, drawn)


def _card(bench: Bench, claim: Claim) -> Card:
    card = bench.cards.get(claim.model)
    if card is None or card.version != claim.version:
        raise CardInvalid(f"{claim.model} {claim.version} is not among the installed models")
    return card


def _in_every_form(made: Made, files: Files, workshop: Workshop) -> list[ResultSet]:
    """Build the result for each of its destinations, all of it before any is kept."""
    takers = workshop.by_profile(made.job.destinations)
    built = {profile: objects_of(made, profile, workshop) for profile in takers}
    place = (files, made.job.transaction_uid)
    answer = files.keep_result(place[1], ANSWER, pack(made.result, made.about()))
    result_sets = [
        replace(kept(made, profile, objects, workshop, place), destinations=takers[profile])
        for profile, objects in built.items()
    ]
    picture = files.result_path(place[1], OVERLAY)
    result_sets[0] = replace(result_sets[0], answer=answer, picture=picture)
    return result_sets


def _settled(claim: Claim, jobs: Jobs, error: Exception) -> bool:
    """Give the job back or cancel it; False when it was not ours any more.

    That may mean that it is done: of a commit whose answer was an error nobody knows. Then the files stay.
    """
    verdict = decide(error, claim.attempt)
    try:
        if isinstance(verdict, Again):
            jobs.give_back(claim, verdict.reason, verdict.after_s)
        else:
            jobs.cancel(claim, verdict.reason, verdict.detail)
    except LeaseLost:
        log("lease lost", job_id=claim.job_id, transaction_uid=claim.transaction_uid)
        return False
    log("job not done", job_id=claim.job_id, reason=verdict.reason, attempt=claim.attempt)
    return True

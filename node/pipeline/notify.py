"""Beside the way: who waits in an archive for a result is told there that AI did not run, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from inference.card import Card
from inference.errors import CardInvalid, InferenceError, SeriesUnusable
from inference.instance import Headers, read_instance
from inference.results.gate import check_notice
from inference.results.notice import Why, notice, sentences
from inference.results.profile import Notice
from node.clock import Clock, at
from node.core.form import notice_form
from node.core.identifiers import new_uid
from node.core.job import Claim, ResultSet, Unnoticed
from node.core.ports import Files, Notices
from node.errors import OutOfResources
from node.pipeline.apart import Apart
from node.pipeline.forms import Workshop, kept_object
from node.pipeline.records import as_record
from node.pipeline.translate import outline, require_identity
from node.telemetry import log

SOMETHING = "it could not be analysed"
WORDS: Mapping[str, str] = {
    "GAP": "slices are missing between others",
    "UNEVEN-SPACING": "the distances between its slices vary",
    "NO-GEOMETRY": "its images do not say where they lie",
    "TOO-FEW-SLICES": "it has too few slices to be a volume",
    "MIXED-GRID": "its images have different matrix sizes or pixel spacings",
    "MIXED-ORIENTATION": "its images lie in different orientations",
    "DUPLICATE-POSITION": "several of its images lie at one position",
    "SHEARED": "its slices drift sideways",
    "UNEQUAL-GROUPS": "one of its phases or echoes has fewer images than another",
    "IMAGES-MISSING": "images that belong to it did not arrive",
    "UNREADABLE": "an image cannot be read",
    "NO-FRAME-OF-REFERENCE": "its images have no frame of reference",
    "NO-PIXELS": "an image has no pixels",
    "NOT-ONE-SAMPLE": "its images are in colour",
    "UNDECODABLE": "the pixels of an image cannot be decoded",
    "MISSING-INPUT": "another series that the model needs is missing",
    "MIXED-FRAME-OF-REFERENCE": "the series that the model needs do not lie in one frame of reference",
    "MODEL-FAILED": "the model failed",
    "RESULT-REFUSED-BY-GATE": "its result was not fit to be shown",
    "WORKERS-LOST": "the analysis did not come to its end",
    "MODEL-SERVER-UNAVAILABLE": "the server that runs the model did not answer",
    "OUT-OF-RESOURCES": "its result could not be stored",
    "CONTEXT-PENDING": "the patient's record had not answered when the result was due",
    "NO-WORKER-FREE": "its turn had not come when the result was due",
    "STILL-RUNNING": "the analysis had not come to its end when the result was due",
}
"""Why a series was not analysed, as the end of a sentence for whoever reads its images.

What a model or a program said itself is not repeated: it may say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """What notices are made with.

    Parameters
    ----------
    notices
        What is to be told, and what was.
    cards
        The models, by name.
    workshop
        The forms, and who wants which.
    """

    notices: Notices
    cards: Mapping[str, Card]
    workshop: Workshop
    files: Files
    clock: Clock


def notify(due: Sequence[Unnoticed], notifier: Notifier, apart: Apart) -> None:
    """Tell of jobs that ended without a result, or have none when one was expected.

    Parameters
    ----------
    apart
        Keeps a job that meets a bug from stopping the others.

    Raises
    ------
    OutOfResources
        Disk or database would not take it; the next round tries again.
    """
    for one in due:
        apart.run(
            f"notify {one.job.job_id}", partial(_notify, one, notifier), job_id=one.job.job_id
        )


def _notify(due: Unnoticed, notifier: Notifier) -> None:
    job = due.job
    takers = _takers(job, notifier.workshop)
    folder = new_uid()
    try:
        made = _made(due, notifier, takers, folder) if takers else []
    except InferenceError as error:
        notifier.files.discard_results(folder)
        remark = error.reason if isinstance(error, SeriesUnusable) else str(error)
        notifier.notices.tell(job, (), remark=f"{due.reason}: {remark}")
        log("no notice", job_id=job.job_id, reason=due.reason)
        return
    except OutOfResources:
        notifier.files.discard_results(folder)
        raise
    if notifier.notices.tell(job, made):
        log("notice stored", job_id=job.job_id, reason=due.reason)
    else:
        notifier.files.discard_results(folder)


def _takers(job: Claim, workshop: Workshop) -> dict[str, tuple[str, ...]]:
    """Return which archives are told in which form; a record is not: it has no place for what was not found."""
    forms: dict[str, tuple[str, ...]] = {}
    for name in job.destinations:
        wish = workshop.wishes.get(name)
        # its own profile: which form of a result it took instead says nothing of notices
        if wish is not None and workshop.profiles[wish.names[0]].notice is not Notice.NONE:
            forms[wish.names[0]] = (*forms.get(wish.names[0], ()), name)
    return forms


def _made(
    due: Unnoticed, notifier: Notifier, takers: Mapping[str, tuple[str, ...]], folder: str
) -> list[ResultSet]:
    """Build the notice in each form, and keep it.

    Raises
    ------
    SeriesUnusable
        Whose images they are nobody can say, or they cannot be read.
    CardInvalid
        Nobody knows the model any more.
    GateRefused
        It is not fit to be sent.
    OutOfResources
        The disk would not take it.
    """
    job, workshop = due.job, notifier.workshop
    card = notifier.cards.get(job.model)
    if card is None or card.version != job.version:
        raise CardInvalid(f"{job.model} {job.version} is not among the installed models")
    headers = _headers(job, notifier.files)
    detail = WORDS.get(due.reason, SOMETHING)
    why = Why(reason=due.reason, detail=detail, delayed=due.delayed)
    created = at(notifier.clock.now())
    made = []
    for profile, names in takers.items():
        form = notice_form(profile, delayed=due.delayed)
        numbered = workshop.request(job, form, created)
        # a job has a series of its own: two jobs of one question may both end without a result
        request = replace(numbered, form=f"{form} {job.job_id}")
        item = notice(headers, card, request, workshop.profiles[profile], why)
        if item is not None:
            check_notice(item, headers)
            told = outline(job, headers, card, (item,), workshop.source_of(job.peer), created)
            words = " ".join(sentences(card, why))
            made.append(
                ResultSet(
                    result_set_id=told.result_set_uid,
                    profile=form,
                    instances=(kept_object(item, notifier.files, folder),),
                    report=as_record(replace(told, conclusion=words)),
                    picture=None,
                    seconds={},
                    server="",
                    destinations=names,
                )
            )
    return made


def _headers(job: Claim, files: Files) -> Headers:
    headers = [
        read_instance(files.root / path).header for paths in job.files.values() for path in paths
    ]
    if not headers:
        raise SeriesUnusable("NO-INSTANCES", "nothing is left of the series")
    require_identity(job.identity, headers)
    return headers

"""Another form of a result, from the model's answer that was kept: no network runs again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from inference.card import Card
from inference.errors import CardInvalid
from inference.results.answer import unpack
from inference.volume import read_series
from node.core.form import EarlierReport
from node.core.job import Claim, DeliveryClaim
from node.core.ports import Files
from node.errors import LeaseLost
from node.pipeline.forms import Made, Workshop, kept, objects_of
from node.telemetry import log


@dataclass(frozen=True, slots=True, kw_only=True)
class Reformer:
    """Gives destinations a result in another form.

    Parameters
    ----------
    cards
        The models, by name.
    """

    cards: Mapping[str, Card]
    workshop: Workshop
    files: Files

    def owe(self, claim: DeliveryClaim, profile: str) -> bool:
        """Build the claimed result in another form and owe that to the destination; the claim is over.

        A worker that is killed on the way has changed nothing: the delivery is claimed again as it was.

        Returns
        -------
        bool
            False, and nothing was changed, when the answer of the model was not kept or is not there any more.

        Raises
        ------
        AnswerUnreadable
            Its file is damaged.
        CardInvalid
            This version of the model is no longer installed.
        SeriesUnusable
            The images are not here any more.
        GateRefused
            An object of this form is not fit to be sent.
        OutOfResources
            Disk or database would not take it.
        LeaseLost
            Another worker holds the delivery.
        """
        origin = self.workshop.forms.origin(claim)
        answer = None if origin is None else _read(self.files, origin.answer)
        if origin is None or answer is None:
            log("no answer kept", job_id=claim.job_id, destination=claim.destination)
            return False
        made = self._made(origin.job, answer)
        objects = objects_of(made, profile, self.workshop)
        folder = claim.transaction_uid
        result_set = kept(made, profile, objects, self.workshop, (self.files, folder))
        try:
            new = self.workshop.forms.reform(claim, result_set)
        except LeaseLost:
            self.files.discard_results(folder)
            raise
        if not new:
            self.files.discard_results(folder)
        log("other form", delivery_id=claim.delivery_id, destination=claim.destination)
        return True

    def _made(self, job: Claim, answer: bytes) -> Made:
        card = self.cards.get(job.model)
        if card is None or card.version != job.version:
            raise CardInvalid(f"{job.model} {job.version} is not among the installed models")
        name = card.inputs[0].name
        series = read_series(self.files.root / path for path in job.files.get(name, ()))
        result, about = unpack(answer, card, series)
        then = replace(
            job,
            revision=int(about["revision"]),
            earlier=tuple(_earlier(*values) for values in about["earlier"]),
        )
        return Made(job=then, result=result, created=datetime.fromisoformat(about["created"]))


def _earlier(profile: str, sop_class: str, instance: str, series: str) -> EarlierReport:
    return EarlierReport(
        profile=profile,
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        series_instance_uid=series,
    )


def _read(files: Files, path: str) -> bytes | None:
    try:
        return (files.root / path).read_bytes()
    except OSError:  # the ledger tells of a file that should be there
        return None

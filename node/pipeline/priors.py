"""Between steps 5 and 6: find the earlier series that a job compares with, and fetch it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from inference.card import Card, Prior
from inference.selection import Facts, Selection
from integrations.archive import PatientIndex
from integrations.errors import IntegrationError, Refused, Unavailable
from node.core.orders import Patient
from node.core.prior import PERSON, Arrived, Candidate, PriorQuestion, same_person
from node.pipeline.apart import Apart
from node.pipeline.merged import MergedTo
from node.pipeline.retrieve import Archive
from node.pipeline.translate import Source, started
from node.telemetry import log

ATTEMPTS = 3
"""How often a series is fetched of which something is missing still."""

MOST_TRIED = 5
"""So many series are fetched for one job and turn out to be others than wanted; then there is none."""

AGAIN_S, AWAY_S = 10.0, 5.0
"""Before a series is fetched again of which something is missing, and an archive asked that did not answer."""

INCOMPLETE = "PRIOR-INCOMPLETE"
STUDY_KEYWORDS = ("StudyDate", "StudyTime", *PERSON)
SERIES_KEYWORDS = frozenset({
    "Modality",
    "BodyPartExamined",
    "Laterality",
    "PatientPosition",
    "ProtocolName",
    "SeriesDescription",
})
"""What an archive may say of a series; all else is known when it is here."""


class Priors(Protocol):
    """What jobs wait for; see `node.store.priors`."""

    def due(self, sources: Collection[str]) -> list[PriorQuestion]:
        """Return what is to be asked now for jobs that read studies of these sources."""

    def choose(self, question: PriorQuestion, chosen: Candidate, listed: Collection[str]) -> bool:
        """Keep which series is looked at, and what the archive lists for it; False when it may not be."""

    def announce(
        self, question: PriorQuestion, chosen: Candidate, peer: str, instances: Sequence[str]
    ) -> None:
        """Announce what an archive is asked for next."""

    def arrived(self, chosen: Candidate, listed: Collection[str]) -> Arrived | None:
        """Return what is here of a series; None when nothing is."""

    def pass_over(self, question: PriorQuestion, chosen: Candidate, reason: str) -> None:
        """Keep that a series is not the one; the next is looked for."""

    def postpone(self, question: PriorQuestion, reason: str, after_s: float) -> None:
        """Ask again after a while."""

    def found(self, question: PriorQuestion, chosen: Candidate) -> None:
        """Let the job read a series as well."""

    def give_up(self, question: PriorQuestion, reason: str) -> None:
        """Let the job run without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """Looks for earlier series.

    Parameters
    ----------
    priors
        What is wanted.
    cards
        The models, by name.
    source_of
        What is configured of a peer, by its name.
    merged_to
        Under which number a study's patient is known by now.
    """

    priors: Priors
    cards: Mapping[str, Card]
    source_of: Callable[[str], Source]
    merged_to: MergedTo

    def look(self, archive: Archive, apart: Apart) -> None:
        """Go on with everything that is wanted of one archive.

        Raises
        ------
        OutOfResources
            The records could not be read or written; the next round tries again.
        """
        for question in self.priors.due(archive.sources):
            work = partial(self._go_on, archive, question)
            apart.run(f"prior {question.job_id} {question.name}", work, job_id=question.job_id)

    def _go_on(self, archive: Archive, question: PriorQuestion) -> None:
        try:
            self._ask(archive, question)
        except Unavailable:
            self.priors.postpone(question, "PEER-UNAVAILABLE", AWAY_S)
        except IntegrationError as error:
            reason = error.reason if isinstance(error, Refused) else type(error).__name__
            self._without(archive, question, reason)

    def _ask(self, archive: Archive, question: PriorQuestion) -> None:
        """Choose a series, or go on with the chosen one.

        Raises
        ------
        Unavailable
            The archive does not answer now.
        Refused
            It does not answer such a question, or the study says too little to ask one.
        """
        wanted = self._wanted(question)
        chosen = question.chosen or self._next(archive, question, wanted)
        if chosen is None:
            self._without(archive, question, question.reason or "PRIOR-NOT-FOUND")
            return
        uids = (chosen.study_instance_uid, chosen.series_instance_uid)
        listed = archive.index.instances(*uids)
        if not self.priors.choose(question, chosen, listed):
            return  # another prior of the card has it since: the next round looks for another
        fault = self._fetched(archive, question, chosen, wanted, listed)
        if fault is None:
            log("prior found", peer=archive.name, job_id=question.job_id)
            self.priors.found(question, chosen)
        elif fault == INCOMPLETE and listed and question.attempt < ATTEMPTS:
            self.priors.postpone(question, fault, AGAIN_S)
        else:
            self.priors.pass_over(question, chosen, fault)

    def _fetched(
        self,
        archive: Archive,
        question: PriorQuestion,
        chosen: Candidate,
        wanted: Prior,
        listed: Collection[str],
    ) -> str | None:
        """Fetch a series; return why it is not the one, None when it is, and here.

        One image is fetched first and looked at: an archive's list says little of a series, and not always
        enough of whose it is.

        Raises
        ------
        Unavailable
            The archive does not answer now.
        """
        arrived = self.priors.arrived(chosen, listed)
        if arrived is None:
            self._retrieve(archive, question, chosen, sorted(listed)[:1])
            arrived = self.priors.arrived(chosen, listed)
        if arrived is None:
            return INCOMPLETE
        fault = self._fault(archive, question, wanted, arrived)
        if fault is not None or not arrived.lacking:
            return fault
        self._retrieve(archive, question, chosen, arrived.lacking)
        arrived = self.priors.arrived(chosen, listed)
        if arrived is None or arrived.lacking:
            return INCOMPLETE
        return self._fault(archive, question, wanted, arrived)  # it may be corrected meanwhile

    def _fault(
        self, archive: Archive, question: PriorQuestion, wanted: Prior, arrived: Arrived
    ) -> str | None:
        if not self._is_same(archive, question, arrived.identity):
            return "PRIOR-OF-ANOTHER-PATIENT"
        return "PRIOR-NOT-FITTING" if wanted.select.failures(arrived.facts) else None

    def _wanted(self, question: PriorQuestion) -> Prior:
        card = self.cards.get(question.model)
        for one in card.priors if card else ():
            if one.name == question.name:
                return one
        raise Refused("CARD-CHANGED", "the model's card names no such prior any more")

    def _retrieve(
        self,
        archive: Archive,
        question: PriorQuestion,
        chosen: Candidate,
        instances: Sequence[str],
    ) -> None:
        if not instances:
            return
        self.priors.announce(question, chosen, archive.name, instances)
        told = {"peer": archive.name, "job_id": question.job_id}
        log("prior retrieval", count=len(instances), **told)
        try:
            archive.retrieve(chosen.study_instance_uid, chosen.series_instance_uid, instances)
        except Refused as error:  # what it did send counts all the same
            log("prior not retrieved", reason=error.reason, **told)

    def _without(self, archive: Archive, question: PriorQuestion, reason: str) -> None:
        log("no prior", peer=archive.name, job_id=question.job_id, reason=reason)
        self.priors.give_up(question, reason)

    def _next(self, archive: Archive, question: PriorQuestion, wanted: Prior) -> Candidate | None:
        if archive.patients is None or len(question.tried) >= MOST_TRIED:
            return None
        candidates = self._candidates(archive, archive.patients, question, wanted)
        return next(candidates, None)

    def _candidates(
        self, archive: Archive, patients: PatientIndex, question: PriorQuestion, wanted: Prior
    ) -> Iterator[Candidate]:
        """Give the series that may be wanted, of the newest study first, and there the largest first."""
        for study in self._studies(archive, patients, question, wanted):
            uid = study["StudyInstanceUID"]
            asked = sorted(SERIES_KEYWORDS & wanted.select.keys)
            told = patients.series_of(uid, [*asked, "NumberOfSeriesRelatedInstances"])
            for one in sorted(told, key=_size, reverse=True):
                series = one["SeriesInstanceUID"]
                known = series in question.tried or series in question.taken
                if not known and _may_be(wanted.select, one):
                    yield Candidate(study_instance_uid=uid, series_instance_uid=series)

    def _studies(
        self, archive: Archive, patients: PatientIndex, question: PriorQuestion, wanted: Prior
    ) -> list[Mapping[str, str]]:
        """Return the patient's earlier studies, the newest first.

        Raises
        ------
        Refused
            The study does not say when it was made.
        """
        began = started(question.identity, self.source_of(question.peer))
        if began is None:
            raise Refused("STUDY-DATE-UNKNOWN", "nobody can say what was earlier")
        day = began.date() if isinstance(began, datetime) else began
        days = (day - timedelta(days=wanted.within_days), day)
        numbers = {str(one["PatientID"]) for one in self._known_as(question)}
        told = {
            one["StudyInstanceUID"]: one
            for number in sorted(numbers)
            for one in patients.studies_of(number, days, STUDY_KEYWORDS)
        }
        told.pop(question.study_instance_uid, None)
        ours = _moment(question.identity)
        earlier = [
            one
            for one in told.values()
            if _is_earlier(_moment(one), ours) and self._is_same(archive, question, one)
        ]
        return sorted(earlier, key=_moment, reverse=True)

    def _is_same(self, archive: Archive, question: PriorQuestion, other: Mapping[str, Any]) -> bool:
        ours, theirs = self.source_of(question.peer), self.source_of(archive.name)
        return any(
            same_person(
                one,
                other,
                source_issuer=ours.default_issuer,
                other_issuer=theirs.default_issuer,
            )
            for one in self._known_as(question)
        )

    def _known_as(self, question: PriorQuestion) -> list[dict[str, Any]]:
        """Return the patient under the number that the study names, and under the one he has by now."""
        now: Patient | None = self.merged_to(question.study_instance_uid)
        found = [dict(question.identity)]
        if now is not None:
            number = {"PatientID": now.patient_id, "IssuerOfPatientID": now.issuer}
            found.append({**question.identity, **number})
        return [one for one in found if one.get("PatientID")]


def _may_be(select: Selection, told: Mapping[str, str]) -> bool:
    """Whether a series may qualify by what the archive says of it; what it does not say is open."""
    facts: Facts = {key: value for key, value in told.items() if key in SERIES_KEYWORDS}
    known = Selection(tuple(one for one in select.criteria if one[0] in facts))
    return not known.failures(facts)


def _size(told: Mapping[str, str]) -> int:
    count = told.get("NumberOfSeriesRelatedInstances", "")
    return int(count) if count.isdecimal() else 0


def _moment(identity: Mapping[str, Any]) -> tuple[str, str]:
    """Return Study Date and Study Time as they sort; a missing time is empty."""
    day, time = (str(identity.get(keyword) or "") for keyword in ("StudyDate", "StudyTime"))
    return day[:8], time[:6]


def _is_earlier(one: tuple[str, str], other: tuple[str, str]) -> bool:
    # on one day only times can tell
    return one < other if one[0] != other[0] else bool(one[1] and other[1]) and one[1] < other[1]

"""What was ordered, and which numbers of patients have become one: as a feed or a query tells it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.core.routing import ORDERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient by one of his numbers.

    Parameters
    ----------
    patient_id, issuer
        Patient ID (0010,0020) and Issuer of Patient ID (0010,0021); the issuer is empty when nobody says it.
    """

    patient_id: str
    issuer: str

    def may_be(self, other: "Patient") -> bool:
        """Whether two numbers are the same, as far as their issuers are known."""
        if self.patient_id != other.patient_id:
            return False
        return self.issuer == other.issuer or not (self.issuer and other.issuer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """One ordered procedure.

    Parameters
    ----------
    accession_number
        Accession Number (0008,0050) of its images.
    patient
        Numbers of the patient.
    placer_order_number, filler_order_number, reason
        Empty when not told.
    urgency
        Requested Procedure Priority (0040,1003): ``STAT``, ``HIGH``, …
    active
        False: canceled.
    """

    accession_number: str
    patient: tuple[Patient, ...]
    placer_order_number: str
    filler_order_number: str
    urgency: str
    reason: str
    active: bool

    def key(self, peer: str) -> str:
        """Return the same text for the same order, however often a peer tells of it."""
        numbers = (self.accession_number, self.placer_order_number, self.filler_order_number)
        return hashlib.sha256("\0".join((peer, *numbers)).encode()).hexdigest()[:32]


def worth(urgency: str) -> int:
    """Return what an order's urgency is worth as a job's priority; 0 for one that raises nothing."""
    return ORDERED.get(urgency, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """Who a patient is said to be.

    Parameters
    ----------
    family, given
        Of the alphabetic name; empty when not told.
    birth_date
        ``YYYYMMDD``; empty when not told.
    sex
        ``M``, ``F``, ``O``; empty when not told.
    """

    family: str = ""
    given: str = ""
    birth_date: str = ""
    sex: str = ""

    def contradicted(self, identity: Mapping[str, object]) -> tuple[str, ...]:
        """Keywords of the attributes of a study that say something else; what one side does not say agrees."""
        alphabetic = str(identity.get("PatientName", "")).partition("=")[0].split("^")
        family, given = (*alphabetic, "", "")[:2]
        pairs = {
            "PatientName": (
                (_folded(self.family), _folded(self.given)),
                (_folded(family), _folded(given)),
            ),
            "PatientBirthDate": (self.birth_date, str(identity.get("PatientBirthDate", ""))),
            "PatientSex": (self.sex, str(identity.get("PatientSex", ""))),
        }
        told = {key: pair for key, pair in pairs.items() if all(map(any, pair))}
        return tuple(key for key, (mine, theirs) in told.items() if mine != theirs)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A number that is not used any more, and the one that is used instead."""

    prior: Patient
    surviving: Patient
    who: Demographics


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What the data of a patient are now."""

    patient: tuple[Patient, ...]
    who: Demographics


Said = Ordered | Merged | Updated


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage:
    """One message of a feed.

    Parameters
    ----------
    peer
        Name of the peer that sent it.
    control_id
        Message Control ID (MSH-10): the peer gives each of its messages another one.
    kind
        ``ADT^A40``.
    digest
        Of its content, without the moment at which it was sent.
    """

    peer: str
    control_id: str
    kind: str
    digest: str


class Feed(Protocol):
    """Keeps what a feed says."""

    def answered(self, message: FeedMessage) -> bytes | None:
        """Return the answer that a message was given before; None when it is new.

        Raises
        ------
        ControlIdReused
            Another message had its control id.
        OutOfResources
            The database cannot be read.
        """

    def take(self, message: FeedMessage, said: Sequence[Said], answer: bytes) -> bytes:
        """Keep what a message says, and its answer: one transaction; durable on return.

        Returns
        -------
        bytes
            The answer to give: an earlier one when the message was taken before.

        Raises
        ------
        ControlIdReused
            Another message had its control id.
        MergeRefused
            A merge contradicts what was merged before; nothing of the message is kept.
        OutOfResources
            The database could not be written.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuestion:
    """A study whose order is to be asked for.

    Parameters
    ----------
    attempt
        1 for the first time.
    """

    study_instance_uid: str
    accession_number: str
    attempt: int


class Orders(Protocol):
    """Studies whose order is not known yet."""

    def open(self, deadline_s: float) -> int:
        """Begin to ask for the order of every study that has a job waiting and no order; return of how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """

    def due(self) -> list[OrderQuestion]:
        """Return the studies whose order is to be asked for now."""

    def answer(self, question: OrderQuestion, peer: str, orders: Sequence[Ordered]) -> bool:
        """Keep what a source said; whether it was the study's order."""

    def postpone(self, question: OrderQuestion, reason: str, *, final: bool = False) -> None:
        """Ask again after a while, or give up when the deadline is over, or when it is `final`."""

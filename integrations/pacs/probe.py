"""Try an archive for everything that is wanted of it, and say what its administrator must change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from integrations.archive import ArchiveIndex
from integrations.errors import IntegrationError, Refused, SyntaxRefused, Unavailable
from integrations.order import OrderSource
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.peer import DicomPeer, associated, echo
from integrations.pacs.stow import store_nothing
from integrations.pacs.transcoding import NATIVE
from integrations.probe import Probe

NOBODY = "2.25.0"
"""A UID that nobody has: an empty list of its instances is an answer."""

_EXPLICIT = "1.2.840.10008.1.2.1"
_IMPLICIT = "1.2.840.10008.1.2"
Pair = tuple[str, str]

_UNKNOWN_TO_PYDICOM = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way in which results may be sent.

    Parameters
    ----------
    name
        Name of the profile.
    pairs
        SOP Class UID and Transfer Syntax UID of everything in it.
    """

    name: str
    pairs: tuple[Pair, ...]


def probe_echo(peer: DicomPeer) -> Probe:
    """Try C-ECHO (PS3.4 Annex A)."""
    try:
        echo(peer)
    except IntegrationError as error:
        return Probe(name="C-ECHO", passed=False, said=str(error), change=_reach(peer, error))
    return Probe(name="C-ECHO", passed=True, said="answers")


def probe_forms(peer: DicomPeer, forms: Sequence[Form]) -> Probe:
    """Propose what would be sent, form by form, and say which is taken."""
    name = "storage of results"
    refused: dict[str, list[Pair]] = {}
    for form in forms:
        try:
            accepted = _accepted(peer, [one for pair in form.pairs for one in _any_of(pair)])
        except IntegrationError as error:
            return Probe(name=name, passed=False, said=str(error), change=_reach(peer, error))
        refused[form.name] = [pair for pair in form.pairs if accepted.isdisjoint(_any_of(pair))]
        if not refused[form.name]:
            return _taken(peer, form, forms[0], refused[forms[0].name])
    first = forms[0].name
    return Probe(
        name=name,
        passed=False,
        said=f"takes none of {', '.join(refused)}; of {first} it refuses {_names(refused[first])}",
        change=_accept(peer, refused[first]),
    )


def _any_of(pair: Pair) -> tuple[Pair, ...]:
    """Give the pairs in which an object of one can be sent."""
    uid, syntax = pair
    return tuple(dict.fromkeys((uid, one) for one in (syntax, *NATIVE)))


def _taken(peer: DicomPeer, form: Form, first: Form, missing: Sequence[Pair]) -> Probe:
    if form is first:
        return Probe(name="storage of results", passed=True, said=f"takes the form {form.name}")
    return Probe(
        name="storage of results",
        passed=None,
        said=f"takes the form {form.name}; of {first.name} it refuses {_names(missing)}",
        change=f"{_accept(peer, missing)}, to be given {first.name}",
    )


def probe_commitment(peer: DicomPeer) -> Probe:
    """Propose Storage Commitment as its user (PS3.4 Annex J)."""
    return _offered(
        peer,
        "storage commitment",
        StorageCommitmentPushModel,
        "offer the Storage Commitment Push Model, or deliveries are confirmed by asking what it holds",
    )


def probe_retrieve(peer: DicomPeer, way: str) -> Probe:
    """Propose C-MOVE (``move``) or C-GET (``get``), by which missing images and priors are fetched."""
    model = (
        StudyRootQueryRetrieveInformationModelMove
        if way == "move"
        else StudyRootQueryRetrieveInformationModelGet
    )
    name = f"C-{way.upper()}"
    change = f"offer {name} (Study Root), or missing images and priors cannot be fetched"
    return _offered(peer, name, model, change, needed=True)


def probe_index(who: str, index: ArchiveIndex, way: str) -> Probe:
    """Ask what it holds of a series that nobody has.

    Parameters
    ----------
    who
        Who asks, as the archive knows us.
    way
        How it is asked: ``C-FIND`` or ``QIDO-RS``.
    """
    try:
        index.instances(NOBODY, NOBODY)
    except IntegrationError as error:
        change = (
            f"offer {way} to {who}: without it nobody knows whether results have arrived "
            "and whether patient and study are still the same"
        )
        return Probe(name=way, passed=False, said=str(error), change=change)
    return Probe(name=way, passed=True, said="answers")


def probe_stow(service: Dicomweb) -> Probe:
    """Ask it to store nothing (PS3.18 10.5): whether it lets us is told, and nothing is written."""
    try:
        store_nothing(service)
    except IntegrationError as error:
        change = f"{service}: let this node store (POST {service.base_url}/studies)"
        return Probe(name="STOW-RS", passed=False, said=str(error), change=change)
    return Probe(name="STOW-RS", passed=True, said="answers")


def probe_worklist(peer: DicomPeer, source: OrderSource) -> Probe:
    """Ask for an order that nobody has."""
    try:
        source.orders("OVERREAD-CHECK")
    except IntegrationError as error:
        change = f"offer {UID(ModalityWorklistInformationFind).name} to {peer.calling_ae_title}"
        return Probe(name="worklist", passed=False, said=str(error), change=change)
    return Probe(name="worklist", passed=True, said="answers")


def _offered(
    peer: DicomPeer, name: str, sop_class_uid: str, change: str, *, needed: bool = False
) -> Probe:
    try:
        taken = _accepted(peer, [(sop_class_uid, _EXPLICIT), (sop_class_uid, _IMPLICIT)])
    except IntegrationError as error:
        return Probe(name=name, passed=False, said=str(error), change=_reach(peer, error))
    if taken:
        return Probe(name=name, passed=True, said="offered")
    return Probe(name=name, passed=False if needed else None, said="not offered", change=change)


def _accepted(peer: DicomPeer, pairs: Sequence[Pair]) -> set[Pair]:
    """Propose each pair in a context of its own, and return those that were accepted.

    Raises
    ------
    Unavailable
        The peer cannot be reached.
    Refused
        It rejects the association.
    """
    contexts = [build_context(uid, [syntax]) for uid, syntax in pairs]
    roles = (
        [build_role(StorageCommitmentPushModel, scu_role=True, scp_role=True)]
        if any(uid == StorageCommitmentPushModel for uid, _ in pairs)
        else []
    )
    try:
        with associated(peer, contexts, roles) as association:
            return {
                (str(one.abstract_syntax), str(one.transfer_syntax[0]))
                for one in association.accepted_contexts
            }
    except SyntaxRefused:
        return set()


def _reach(peer: DicomPeer, error: IntegrationError) -> str:
    """Say who must change what so that an association comes about."""
    match error:
        case SyntaxRefused():
            return f"{peer.ae_title}: offer the Verification service"
        case Refused():
            return (
                f"{peer.ae_title}: register the AE title {peer.calling_ae_title} with the address of this "
                "node, and see that the AE title that is called is its own"
            )
        case Unavailable():
            return f"start {peer}, or open the way to it (firewall, address, port)"
        case _:
            return f"look at {peer}"


def _accept(peer: DicomPeer, pairs: Collection[Pair]) -> str:
    return f"{peer.ae_title}: accept storage of {_names(pairs)} from {peer.calling_ae_title}"


def _names(pairs: Collection[Pair]) -> str:
    return ", ".join(
        f"{_UNKNOWN_TO_PYDICOM.get(uid, UID(uid).name)} in {UID(syntax).name}"
        for uid, syntax in pairs
    )

"""What `overread check` tries of each peer: by what it is to us, everything that is wanted of it."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from node.bootstrap.introduction import tls_context
from node.bootstrap.messages import mllp_peer
from node.bootstrap.models import cards
from node.bootstrap.orders import order_source
from node.bootstrap.outlets import outlets
from node.bootstrap.reach import archive_index, dicom_peer, dicomweb, fhir_client
from node.bootstrap.state import database
from node.clock import SystemClock, at
from node.errors import NodeError
from node.settings import Peer, Settings
from node.settings.auth import ServiceTable

if TYPE_CHECKING:
    from integrations.destination import Destination
    from integrations.pacs.probe import Form
    from integrations.probe import Probe

Tried = Callable[[], "tuple[Probe, ...]"]
"""Tries something of a peer."""


def trials(settings: Settings, peer: Peer, *, write: bool) -> "Iterator[Tried]":
    """Give what is tried of a peer, each to be called for its own sake.

    Parameters
    ----------
    write
        Also write something harmless, and take it back.
    """
    if "archive" in peer.roles:
        yield from _archive(settings, peer)
        yield lambda: _written(settings, peer, write=write)
    if peer.dicomweb is not None:
        yield from _https(peer, peer.dicomweb)
    if peer.fhir is not None:
        yield from _fhir(settings, peer, write=write)
    if peer.name == settings.orders.peer and settings.orders.source == "worklist":
        yield lambda: _worklist(settings, peer)
    if peer.oru is not None:
        yield lambda: (_receiver(peer),)
    if peer.feed is not None:
        yield lambda: _feed(settings)


def _archive(settings: Settings, peer: Peer) -> "Iterator[Tried]":
    from integrations.pacs import probe

    way = "C-FIND" if peer.dicomweb is None else "QIDO-RS"
    who = settings.node.ae_title if peer.associates else "this node"
    if peer.associates:
        called = dicom_peer(settings, peer)
        yield lambda: (probe.probe_echo(called),)
        if not peer.stows:
            yield lambda: (probe.probe_forms(called, _forms(settings, peer)),)
        yield lambda: (probe.probe_commitment(called),)
    if peer.dicomweb is not None and peer.dicomweb.store:
        table = peer.dicomweb
        yield lambda: (probe.probe_stow(dicomweb(peer, table)),)
    yield lambda: (probe.probe_index(who, archive_index(settings, peer), way),)
    if any(source.archive == peer.name for source in settings.peer):
        yield lambda: (probe.probe_retrieve(dicom_peer(settings, peer), peer.retrieve),)


def _forms(settings: Settings, peer: Peer) -> "list[Form]":
    from inference.results.offered import offered
    from integrations.pacs.probe import Form

    saliency = any(card.explains for card in cards(settings).values())
    return [
        Form(name=name, pairs=offered(settings.profiles[name], saliency=saliency))
        for name in settings.forms_of(peer)
    ]


def _https(peer: Peer, service: ServiceTable) -> "Iterator[Tried]":
    from integrations import tls

    parts = urlsplit(service.url)
    if parts.scheme == "https":
        address = tls.Address(parts.hostname or "", parts.port or 443)
        now = at(SystemClock().now())
        yield lambda: tls.probe(address, now, context=tls_context(peer, service))


def _fhir(settings: Settings, peer: Peer, *, write: bool) -> "Iterator[Tried]":
    from integrations.fhir import probe

    needs = probe.CONTEXT
    taken = {name for one in settings.peer for name in one.results_to}
    taken |= {name for rule in settings.rule for name in rule.destinations}
    if peer.name in taken:
        needs = needs.and_also(probe.RESULTS)
    if settings.orders.source == "fhir" and settings.orders.peer == peer.name:
        needs = needs.and_also(probe.ORDERS)
    if peer.fhir is not None:
        yield from _https(peer, peer.fhir)
    yield lambda: probe.probe(fhir_client(peer), needs)
    if write and peer.name in taken:
        yield lambda: (probe.probe_write(fhir_client(peer), str(uuid.uuid4())),)


def _worklist(settings: Settings, peer: Peer) -> "tuple[Probe, ...]":
    from integrations.pacs import probe

    called = dicom_peer(settings, peer)
    return (probe.probe_echo(called), probe.probe_worklist(called, order_source(settings, peer)))


def _receiver(peer: Peer) -> "Probe":
    """Connect only: not every receiver knows a message that files nothing."""
    from integrations.errors import Unavailable
    from integrations.hl7.sending import reach
    from integrations.probe import Probe

    called = mllp_peer(peer)
    try:
        reach(called)
    except Unavailable as error:
        change = "see that the receiver listens there, and oru.host, oru.port and oru.tls"
        return Probe(name="MLLP", passed=False, said=str(error), change=change)
    return Probe(name="MLLP", passed=True, said=f"{called} was reached; nothing was sent")


def _feed(settings: Settings) -> "tuple[Probe, ...]":
    """Say where it calls us: there is nothing to try."""
    from integrations.probe import Probe

    if settings.hl7.enabled:
        where = f"{settings.hl7.host}:{settings.hl7.port}"
        return (Probe(name="feed", passed=None, said=f"it calls this node at {where}"),)
    change = "set hl7.enabled, or take its feed out of the configuration"
    return (Probe(name="feed", passed=False, said="the role hl7 is off", change=change),)


def _written(settings: Settings, peer: Peer, *, write: bool) -> "tuple[Probe, ...]":
    """Store an object of nobody, and take it back, where the archive has a way to take something back."""
    from integrations.probe import Probe

    if not write:
        return ()
    name = "write and withdraw"
    if peer.withdrawal == "none":
        said = 'nothing is written: it could not be taken back (withdrawal = "none")'
        return (Probe(name=name, passed=None, said=said),)
    from integrations.errors import IntegrationError
    from integrations.pacs.trial_object import write_and_withdraw

    try:
        destination: Destination = outlets(settings, database(settings))[peer.name].destination
        with TemporaryDirectory() as folder:
            said = write_and_withdraw(destination, Path(folder), at(SystemClock().now()))
    except (IntegrationError, NodeError) as error:
        change = "look at the lines above: what is refused there is refused here"
        return (Probe(name=name, passed=False, said=str(error), change=change),)
    return (Probe(name=name, passed=True, said=said),)

"""The role `hl7`: who may send orders and merges, and where these go."""

import uuid
from ipaddress import ip_address
from typing import TYPE_CHECKING

from node.bootstrap.state import database
from node.bootstrap.tls import tls_context
from node.errors import SettingsInvalid
from node.settings import Peer, Settings

if TYPE_CHECKING:
    from node.hl7.server import MllpServer
    from node.pipeline.feed import Caller, Sender
    from node.pipeline.merged import MergedTo
    from node.store.database import Database


def default_issuers(settings: Settings) -> dict[str, str]:
    """Return the default issuer of Patient ID of each source that has one."""
    return {peer.name: peer.default_issuer for peer in settings.peer if peer.default_issuer}


def merged_to(settings: Settings, opened: "Database") -> "MergedTo":
    """Return who says under which number a study's patient is known by now: the feeds that tell of merges."""
    from node.store.merges import MergeStore

    return MergeStore(opened, default_issuers(settings)).merged_to


def feed_server(settings: Settings) -> "MllpServer":
    """Wire the server of MLLP; it is not started yet.

    Raises
    ------
    SettingsInvalid
        Nobody may send, or the TLS files cannot be used.
    """
    from integrations.hl7.acknowledgement import Answerer
    from node.clock import SystemClock, at
    from node.hl7.server import Endpoint, MllpServer
    from node.pipeline.feed import Desk, take
    from node.store.feed import FeedStore

    table, clock = settings.hl7, SystemClock()
    senders = [_sender(peer) for peer in settings.peer if peer.feed is not None]
    if not senders:
        raise SettingsInvalid(("hl7: nobody may send: give a peer with the role orders a feed",))
    desk = Desk(
        senders=senders,
        feed=FeedStore(database(settings), default_issuers(settings)),
        answerer=Answerer(application=table.application, facility=table.facility),
        processing_ids=frozenset(table.processing_ids),
        ignored=frozenset(table.ignored),
        character_set=table.character_set,
    )
    endpoint = Endpoint(
        maximum_message_bytes=table.maximum_message_bytes,
        maximum_connections=table.maximum_connections,
        idle_timeout_s=table.idle_timeout_s,
        message_timeout_s=table.message_timeout_s,
        handshake_timeout_s=table.handshake_timeout_s,
        tls_context=tls_context("hl7.tls", table.tls),
    )
    calling = [peer for peer in settings.peer if peer.feed is not None]

    def answer(raw: bytes, caller: "Caller") -> bytes:
        return take(raw, caller, desk, at(clock.now()), uuid.uuid4().hex[:20])

    return MllpServer(
        endpoint, lambda address: any(_within(address, peer) for peer in calling), answer
    )


def _sender(peer: Peer) -> "Sender":
    from node.pipeline.feed import Sender

    assert peer.feed is not None  # noqa: S101 - the caller has looked

    def admits(caller: "Caller") -> bool:
        named = peer.certificate_names
        return _within(caller.address, peer) and (
            not named or bool(named & caller.certificate_names)
        )

    return Sender(
        name=peer.name,
        application=peer.feed.application,
        facility=peer.feed.facility,
        issuers=peer.feed.issuers,
        default_issuer=peer.default_issuer or "",
        admits=admits,
    )


def _within(address: str, peer: Peer) -> bool:
    networks = peer.calls_from
    return not networks or any(ip_address(address) in network for network in networks)

"""The systems that take results as messages of HL7 version 2."""

import ssl
from typing import TYPE_CHECKING

from node.errors import SettingsInvalid
from node.settings import OruTlsTable, Peer

if TYPE_CHECKING:
    from integrations.hl7.sending import MllpPeer


def mllp_peer(peer: Peer) -> "MllpPeer":
    """Return a peer as whoever sends it messages of HL7 version 2 knows it.

    Raises
    ------
    SettingsInvalid
        It takes none, or the files of its TLS cannot be used.
    """
    from integrations.hl7.sending import MllpPeer

    if peer.oru is None:
        raise SettingsInvalid((f"peer {peer.name}: oru.host is missing",))
    return MllpPeer(
        host=peer.oru.host,
        port=peer.oru.port,
        timeout_s=peer.oru.timeout_s,
        tls=None if peer.oru.tls is None else _tls(peer.name, peer.oru.tls),
        name=None if peer.oru.tls is None else peer.oru.tls.name,
    )


def _tls(name: str, table: OruTlsTable) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=table.authorities)
        if table.certificate is not None:
            context.load_cert_chain(table.certificate, table.key)
    except OSError as error:  # a file that is no PEM is one as well
        raise SettingsInvalid((f"peer {name}: oru.tls: {error}",)) from error
    return context

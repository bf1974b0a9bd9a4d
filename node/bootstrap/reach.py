"""The systems around the node, as the libraries that speak with them know them."""

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.errors import SettingsInvalid
from node.settings import OruTlsTable, Peer, Settings

if TYPE_CHECKING:
    from integrations.archive import ArchiveIndex
    from integrations.auth import Auth
    from integrations.context import Record
    from integrations.fhir.client import FhirClient
    from integrations.hl7.sending import MllpPeer
    from integrations.pacs.peer import DicomPeer
    from node.pipeline.translate import Source


def dicom_peer(settings: Settings, peer: Peer) -> "DicomPeer":
    """Return a peer as the PACS library knows it."""
    from integrations.pacs.peer import DicomPeer

    return DicomPeer(
        ae_title=peer.ae_title or "",
        host=peer.host or "",
        port=peer.port or 0,
        calling_ae_title=settings.node.ae_title,
        dimse_timeout_s=peer.timeout_s,
    )


def record(peer: Peer) -> "Record":
    """Return the patient record behind a peer with the role `ehr`.

    Raises
    ------
    SettingsInvalid
        The peer's token is not in the environment.
    """
    from integrations.fhir.context import FhirRecord

    return FhirRecord(fhir_client(peer), peer.fhir.identifier_systems if peer.fhir else {})


def fhir_client(peer: Peer) -> "FhirClient":
    """Return a client of a peer's FHIR endpoint.

    Raises
    ------
    SettingsInvalid
        The peer has none, or its token is not in the environment.
    """
    from integrations.fhir.client import FhirClient

    if peer.fhir is None:
        raise SettingsInvalid((f"peer {peer.name}: fhir.url is missing",))
    auth = auth_of(peer, peer.fhir.token_env)
    return FhirClient(peer.fhir.url, auth=auth, read_timeout_s=peer.fhir.timeout_s)


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


def archive_index(settings: Settings, peer: Peer) -> "ArchiveIndex":
    """Return what says what an archive holds: its DICOMweb service where it has one, else C-FIND.

    Raises
    ------
    SettingsInvalid
        The service's token is not in the environment.
    """
    if peer.dicomweb is None:
        from integrations.pacs.query import DicomArchiveIndex

        return DicomArchiveIndex(dicom_peer(settings, peer))
    from integrations.pacs.qido import QidoArchiveIndex

    auth = auth_of(peer, peer.dicomweb.token_env)
    return QidoArchiveIndex(peer.dicomweb.url, auth=auth, read_timeout_s=peer.dicomweb.timeout_s)


def auth_of(peer: Peer, token_env: str | None) -> "Auth":
    """Return how we introduce ourselves.

    Raises
    ------
    SettingsInvalid
        The token is not in the environment.
    """
    from integrations.auth import BearerToken, NoAuth

    if token_env is None:
        return NoAuth()
    token = os.environ.get(token_env)
    if not token:
        raise SettingsInvalid((f"peer {peer.name}: {token_env} is not set",))
    return BearerToken(token)


def source_of(settings: Settings) -> "Callable[[str], Source]":
    """Return what is known of the sources by name: their issuer and their time zone."""
    from node.pipeline.translate import Source

    def of(name: str) -> Source:
        peer = settings.peer_named(name)
        return Source(default_issuer=peer.default_issuer, time_zone=peer.time_zone)

    return of

"""The systems around the node, as the libraries that speak with them know them."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from node.bootstrap.introduction import http_auth, tls_context
from node.errors import SettingsInvalid
from node.settings import Peer, Settings
from node.settings.secrets import read_secret

if TYPE_CHECKING:
    from integrations.auth import Auth
    from integrations.context import Record
    from integrations.fhir.client import FhirClient
    from integrations.pacs.dicomweb import Dicomweb
    from integrations.pacs.peer import DicomPeer, Tls
    from integrations.pacs.qido import QidoArchiveIndex
    from integrations.pacs.query import DicomArchiveIndex
    from node.pipeline.translate import Source
    from node.settings import DicomwebTable
    from node.settings.secrets import TokenTable


def dicom_peer(settings: Settings, peer: Peer) -> "DicomPeer":
    """Return a peer as the PACS library knows it.

    Raises
    ------
    SettingsInvalid
        The files of its TLS cannot be used.
    """
    from integrations.pacs.peer import DicomPeer

    return DicomPeer(
        ae_title=peer.ae_title or "",
        host=peer.host or "",
        port=peer.port or 0,
        calling_ae_title=settings.node.ae_title,
        acse_timeout_s=peer.timeout_s,
        dimse_timeout_s=peer.timeout_s,
        tls=_tls(peer),
    )


def _tls(peer: Peer) -> "Tls | None":
    """Return how the associations that we open are secured.

    Raises
    ------
    SettingsInvalid
        The files cannot be used.
    """
    if peer.tls is None:
        return None
    from integrations.pacs.peer import Tls
    from node.dicom.tls import Certificates, ReloadingContext, client_context

    table = peer.tls
    certificates = Certificates(
        certificate=table.certificate, key=table.key, authorities=table.authorities
    )
    try:
        context = ReloadingContext(
            certificates, partial(client_context, check_name=table.check_name)
        )
    except OSError as error:
        raise SettingsInvalid((f"peer {peer.name}: tls: {error}",)) from error
    return Tls(context=context, name=(table.name or peer.host) if table.check_name else None)


def record(peer: Peer) -> "Record":
    """Return the patient record behind a peer with the role `ehr`.

    Raises
    ------
    SettingsInvalid
        The peer's token is not where the file says.
    """
    from integrations.fhir.context import FhirRecord, Terms

    client = fhir_client(peer)
    table = peer.fhir
    if table is None:
        return FhirRecord(client, {})
    return FhirRecord(
        client,
        table.identifier_systems,
        accession_system=table.accession_system,
        reading=Terms(
            timeout_s=table.context_timeout_s,
            labels_allowed=table.labels_allowed,
            consents=table.consents,
        ),
    )


def fhir_client(peer: Peer) -> "FhirClient":
    """Return a client of a peer's FHIR endpoint.

    Raises
    ------
    SettingsInvalid
        The peer has none, or its token is not where the file says.
    """
    from integrations.fhir.client import FhirClient

    if peer.fhir is None:
        raise SettingsInvalid((f"peer {peer.name}: fhir.url is missing",))
    return FhirClient(
        peer.fhir.url,
        auth=http_auth(peer, peer.fhir),
        tls=tls_context(peer, peer.fhir),
        read_timeout_s=peer.fhir.timeout_s,
        requests_per_s=peer.fhir.requests_per_s,
    )


def archive_index(settings: Settings, peer: Peer) -> "DicomArchiveIndex | QidoArchiveIndex":
    """Return what says what an archive holds: its DICOMweb service where it has one, else C-FIND.

    Raises
    ------
    SettingsInvalid
        The service's token is not where the file says.
    """
    if peer.dicomweb is None:
        from integrations.pacs.query import DicomArchiveIndex

        return DicomArchiveIndex(dicom_peer(settings, peer))
    from integrations.pacs.qido import QidoArchiveIndex

    return QidoArchiveIndex(dicomweb(peer, peer.dicomweb))


def dicomweb(peer: Peer, table: "DicomwebTable") -> "Dicomweb":
    """Return a peer's DICOMweb service.

    Raises
    ------
    SettingsInvalid
        A secret is not where the file says, or the files of its TLS cannot be used.
    """
    from integrations.pacs.dicomweb import Dicomweb

    return Dicomweb(
        table.url,
        auth=http_auth(peer, table),
        tls=tls_context(peer, table),
        read_timeout_s=table.timeout_s,
    )


def auth_of(peer: Peer, service: "TokenTable") -> "Auth":
    """Return how we introduce ourselves to one of a peer's services.

    Raises
    ------
    SettingsInvalid
        The token is not where the file says.
    """
    from integrations.auth import BearerToken, NoAuth

    if service.token_place is None:
        return NoAuth()
    token = read_secret(service.token_place, f"peer {peer.name}")
    return BearerToken(token.get_secret_value())


def source_of(settings: Settings) -> "Callable[[str], Source]":
    """Return what is known of the sources by name: their issuer and their time zone."""
    from node.pipeline.translate import Source

    def of(name: str) -> Source:
        peer = settings.peer_named(name)
        return Source(default_issuer=peer.default_issuer, time_zone=peer.time_zone)

    return of

"""How we introduce ourselves to a service over HTTP, wired from the settings."""

import ssl
from typing import TYPE_CHECKING

from node.clock import SystemClock
from node.errors import SettingsInvalid
from node.settings import AuthTable, Peer, Settings
from node.settings.auth import ServiceTable
from node.settings.secrets import read_secret

if TYPE_CHECKING:
    from typing import Any

    from integrations.auth import Auth
    from integrations.fhir.keys import SigningKey


def key_sets(settings: Settings) -> "dict[str, dict[str, Any]]":
    """Return the public keys of each peer that we sign for, as JWK Sets by its name.

    Raises
    ------
    SettingsInvalid
        A key is not where the file says, or is none.
    """
    from integrations.fhir.keys import key_set

    tables = {peer.name: peer.fhir.auth for peer in settings.peer if peer.fhir is not None}
    return {
        name: key_set([_key(name, place) for place in table.keys])
        for name, table in tables.items()
        if table is not None and table.keys
    }


def http_auth(peer: Peer, service: ServiceTable) -> "Auth":
    """Return how we introduce ourselves to one of a peer's services.

    Raises
    ------
    SettingsInvalid
        A secret or key is not where the file says.
    """
    from integrations.auth import BasicAuth, BearerToken, NoAuth

    if service.token_place is not None:
        token = read_secret(service.token_place, f"peer {peer.name}")
        return BearerToken(token.get_secret_value())
    table = service.auth
    if table is None:
        return NoAuth()
    if table.kind == "basic":
        return BasicAuth(table.client_id, _secret(peer, table))
    return _tokens(peer, service, table)


def tls_context(peer: Peer, service: ServiceTable) -> ssl.SSLContext | None:
    """Return the certificates for one of a peer's services; None for the system's own.

    Raises
    ------
    SettingsInvalid
        A file is not there, or holds no certificate or key.
    """
    if service.tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=service.tls.authorities)
        if service.tls.certificate is not None:
            context.load_cert_chain(service.tls.certificate, service.tls.key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsInvalid((
            f"peer {peer.name}: {service.section}.tls: {error.strerror}",
        )) from None
    return context


def _tokens(peer: Peer, service: ServiceTable, table: AuthTable) -> "Auth":
    from integrations.fhir.oauth import OAuthTokens, Proof, SharedSecret, SignedAssertion, carrier

    if table.kind == "smart":
        _key(peer.name, table.keys[0])  # what is wrong with it is told now
        proof: Proof = SignedAssertion(table.client_id, lambda: _key(peer.name, table.keys[0]))
    else:
        proof = SharedSecret(table.client_id, _secret(peer, table))
    return OAuthTokens(
        service.url,
        proof,
        table.scopes,
        token_url=table.token_url,
        http=carrier(service.timeout_s, tls_context(peer, service)),
        wall=SystemClock().now,
    )


def _secret(peer: Peer, table: AuthTable) -> str:
    return read_secret(table.secret or "", f"peer {peer.name}: auth.secret").get_secret_value()


def _key(name: str, place: str) -> "SigningKey":
    from integrations.fhir.keys import read_key

    try:
        return read_key(read_secret(place, f"peer {name}: auth.keys").get_secret_value())
    except ValueError as error:
        raise SettingsInvalid((f"peer {name}: auth.keys: {place}: {error}",)) from None

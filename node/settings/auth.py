"""How we introduce ourselves to a service over HTTP: its ``auth`` and its ``tls``."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from node.settings.certificates import ClientTlsTable
from node.settings.kinds import Seconds, Table
from node.settings.secrets import SecretPlace, TokenTable


class AuthTable(Table):
    """``auth`` of a service, where a bearer token is not enough."""

    kind: Literal["smart", "client-secret", "basic"] = Field(
        description="SMART Backend Services, OAuth client secret, or HTTP Basic."
    )
    client_id: str = Field(min_length=1, description="Our client id, or the user.")
    keys: tuple[SecretPlace, ...] = Field(
        (), description="Private keys in PEM; the first one signs, all are published."
    )
    secret: SecretPlace | None = Field(None, description="The client secret, or the password.")
    scopes: tuple[str, ...] = Field(
        ("system/*.rs", "system/*.cu"), description="Scopes that are asked for."
    )
    token_url: str | None = Field(
        None, pattern=r"^https?://", description="Token endpoint; none to ask the server for it."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "smart" and not self.keys:
            raise ValueError('kind = "smart" needs keys')
        if self.kind != "smart" and self.secret is None:
            raise ValueError(f'kind = "{self.kind}" needs secret')
        return self


class ServiceTable(TokenTable):
    """A service over HTTP that knows us by a token, or in another way, and by our certificate."""

    section: ClassVar[str]

    url: str = Field(pattern=r"^https?://", description="Root of the service.")
    timeout_s: Seconds = Field(10.0, description="Longest wait for each part of an answer.")
    auth: AuthTable | None = Field(None, description="How we introduce ourselves, without a token.")
    tls: ClientTlsTable | None = Field(None, description="Certificates, ours and the server's.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.auth is not None and self.token_place is not None:
            raise ValueError("auth and token are two ways of one thing")
        return self

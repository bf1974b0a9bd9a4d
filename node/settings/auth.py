"""How we introduce ourselves to a FHIR server: ``[peer.fhir.auth]``."""

from typing import Literal, Self

from pydantic import Field, model_validator

from node.settings.kinds import Table
from node.settings.secrets import SecretPlace


class AuthTable(Table):
    """``auth`` of a FHIR endpoint, where a bearer token is not enough."""

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

"""The PEM files with which we open a connection by TLS, whatever is spoken on it."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from node.settings.kinds import Table


class ClientTlsTable(Table):
    """``tls`` of a service over HTTP: PEM files."""

    certificate: Path | None = Field(None, description="Our certificate with its chain.")
    key: Path | None = Field(None, description="Its private key.")
    authorities: Path | None = Field(
        None, description="Authorities that may have signed the server's certificate."
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class OruTlsTable(ClientTlsTable):
    """``tls`` of a receiver of messages; nothing but its own authorities is trusted."""

    authorities: Path = Field(description="Authorities of which one has signed its certificate.")
    name: str | None = Field(None, description="Name that its certificate must have; its `host`.")


class PeerTlsTable(OruTlsTable):
    """``tls`` of a peer: DICOM TLS on the associations that we open; the files may be replaced."""

    check_name: bool = Field(
        True, description="`false`: any certificate of those authorities will do."
    )

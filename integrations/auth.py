"""How we introduce ourselves to a server over HTTP: FHIR or DICOMweb."""

from dataclasses import dataclass, field
from typing import Protocol


class Auth(Protocol):
    """Gives the ``Authorization`` header of a request.

    It is asked before every request, so that one that fetches short-lived tokens (SMART Backend Services)
    may renew them there.
    """

    def header(self) -> str | None:
        """Value of the ``Authorization`` header; None when there is none.

        Raises
        ------
        Unavailable
            The token server cannot be reached.
        Refused
            The token server does not know us.
        """


@dataclass(frozen=True, slots=True)
class NoAuth:
    """An open server, on loopback or behind a gateway that introduces us."""

    def header(self) -> None:
        """Give no header."""
        return


@dataclass(frozen=True, slots=True)
class BearerToken:
    """One token for all requests (RFC 6750); it is never shown.

    Parameters
    ----------
    token
        The token itself.
    """

    token: str = field(repr=False)

    def header(self) -> str:
        """Give the header with the token."""
        return f"Bearer {self.token}"

"""How we introduce ourselves to a server over HTTP: FHIR or DICOMweb."""

import base64
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


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


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """A user and a password (RFC 7617); the password is never shown."""

    user: str
    password: str = field(repr=False)

    def header(self) -> str:
        """Give the header with both."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Basic {pair}"


@runtime_checkable
class Renewable(Protocol):
    """An `Auth` whose header may have ended before its time; it can give another one."""

    def forget(self) -> None:
        """Give another header next time."""

"""Results taken back from an Orthanc by its REST interface: its objects are deleted."""

import logging
from collections.abc import Sequence

import httpx

from integrations.auth import Auth, NoAuth
from integrations.destination import Receipt
from integrations.errors import Refused, Unavailable
from integrations.in_time import PATIENCE, InTime
from integrations.report import Instance, Report

# httpx logs every URL at INFO and httpcore at DEBUG
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class OrthancDeletion:
    """Takes objects back by deleting them, each by its SOP Instance UID and nothing else.

    Parameters
    ----------
    base_url
        Orthanc's own address, ``http://pacs.example:8042``.
    auth
        How we introduce ourselves.
    read_timeout_s
        Longest wait for each part of an answer; the whole of it may take four times as long.
    transport
        What carries the requests instead of the network; None for the network.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        read_timeout_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._auth: Auth = auth if auth is not None else NoAuth()
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            timeout=httpx.Timeout(read_timeout_s, connect=5.0),
            follow_redirects=False,
            transport=transport,
            event_hooks={"request": [InTime(PATIENCE * read_timeout_s)]},
        )

    def __call__(self, report: Report, instances: Sequence[Instance], reason: str) -> Receipt:
        """Delete the objects that it has; one that it has not is nothing to delete.

        Raises
        ------
        Unavailable
            It cannot be reached, or cannot answer now.
        Refused
            It does not let us (``ORTHANC-401``, ``ORTHANC-403``), or is no Orthanc.
        """
        deleted = tuple(one.sop_instance_uid for one in instances if self._delete(one))
        left = any(self._found(one) for one in instances)
        remark = None if deleted else "nothing stood there"
        return Receipt(references=deleted, confirmed=not left, remark=remark)

    def _delete(self, instance: Instance) -> bool:
        """Delete one object; tell whether it was there."""
        found = self._found(instance)
        for orthanc_id in found:
            self._ask("DELETE", f"/instances/{orthanc_id}")
        return bool(found)

    def _found(self, instance: Instance) -> list[str]:
        """Ask for Orthanc's identifiers of one SOP Instance UID.

        Raises
        ------
        Refused
            The answer is no list of what Orthanc calls resources.
        """
        answer = self._ask("POST", "/tools/lookup", instance.sop_instance_uid)
        try:
            return [str(one["ID"]) for one in answer.json() if one["Type"] == "Instance"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("ORTHANC-NOT-JSON", "no list of resources was answered") from error

    def _ask(self, method: str, path: str, content: str | None = None) -> httpx.Response:
        """Make one request; what is not there any more when it is to be deleted was deleted by somebody.

        Raises
        ------
        Unavailable
            The same request may work later.
        Refused
            It will not.
        """
        authorization = self._auth.header()
        headers = {} if authorization is None else {"Authorization": authorization}
        try:
            answer = self._http.request(method, path, content=content, headers=headers)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Unavailable(f"Orthanc: {type(error).__name__}") from None
        status = answer.status_code
        if status in _TEMPORARY:
            raise Unavailable(f"Orthanc answered {status}")
        if status != 200 and not (method == "DELETE" and status == 404):
            raise Refused(f"ORTHANC-{status}", f"Orthanc answered {status}")
        return answer

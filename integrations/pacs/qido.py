"""What an archive holds, asked by QIDO-RS (PS3.18 10.6)."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydicom.datadict import tag_for_keyword

from integrations.auth import Auth, NoAuth
from integrations.errors import Refused, Unavailable
from integrations.in_time import PATIENCE, InTime
from integrations.pacs.query import only

# httpx logs every URL at INFO and httpcore at DEBUG
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

PAGE = 1000
"""Instances that one request asks for."""

MOST_PAGES = 200

LARGEST_ANSWER = 64 << 20
"""Bytes of one answer; a thousand instances with all that an archive may add to each are a few MiB."""

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""Of a person's name (PS3.18 F.2.2)."""
_DICOM_JSON = "application/dicom+json"
_STUDY_INSTANCE_UID = "0020000D"
_SOP_INSTANCE_UID = "00080018"
_SERIES_INSTANCE_UID = "0020000E"
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class QidoArchiveIndex:
    """The `ArchiveIndex` of a peer with DICOMweb.

    The list is asked for page by page until one brings nothing new, whatever their size: archives cut answers
    short where they like, and a list that is cut would pass for a whole series. The token goes to the
    configured origin and nowhere else: every URL is made here, and redirects are not followed.

    Parameters
    ----------
    base_url
        The service's root, ``https://pacs.example/dicom-web``.
    auth
        How we introduce ourselves.
    connect_timeout_s, read_timeout_s
        Longest wait for the connection, and for each part of an answer; the whole of it may take four times as
        long.
    transport
        What carries the requests instead of the network; None for the network.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._where = urlsplit(base_url).hostname or "the archive"
        self._auth: Auth = auth if auth is not None else NoAuth()
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            headers={"Accept": _DICOM_JSON},
            follow_redirects=False,
            transport=transport,
            event_hooks={"request": [InTime(PATIENCE * read_timeout_s)]},
        )

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of a series; empty when the archive does not know it.

        Raises
        ------
        Unavailable
            The archive cannot be reached, or cannot answer now.
        Refused
            It does not answer this question (``DICOMWEB-404``), not in DICOM JSON, or without an end.
        """
        study, series = (quote(uid, safe="") for uid in (study_instance_uid, series_instance_uid))
        url = f"{self._base_url}/studies/{study}/series/{series}/instances"
        found: set[str] = set()
        asked = 0
        for _ in range(MOST_PAGES):
            told, more = self._page(url, asked)
            page = {uid for one in told if (uid := _uid_of(one, series_instance_uid))}
            if page <= found:
                # a second page that repeats the first: paging is ignored, and whether that was all is open
                if told and more:
                    raise Refused("DICOMWEB-CUT-SHORT", f"{self._where} gives only part of a list")
                return frozenset(found)
            found |= page
            asked += len(told)
        raise Refused("DICOMWEB-ENDLESS-LIST", f"{self._where}: more than {MOST_PAGES} pages")

    def attributes(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Mapping[str, str] | None:
        """Say attributes of a study by keyword; None when the archive does not know the study.

        Raises
        ------
        Unavailable
            The archive cannot be reached, or cannot answer now.
        Refused
            It does not answer this question, not in DICOM JSON, or in several ways.
        """
        tags = {keyword: f"{tag_for_keyword(keyword) or 0:08X}" for keyword in keywords}
        query = httpx.QueryParams({
            "StudyInstanceUID": study_instance_uid,
            "includefield": ",".join(tags.values()),
        })
        status, _, body = self._ask(f"{self._base_url}/studies?{query}")
        answers = [] if status == 204 else _decoded(body)
        if answers is None:
            raise Refused("DICOMWEB-NOT-JSON", f"{self._where} did not answer in DICOM JSON")
        told = [
            {keyword: text for keyword, tag in tags.items() if (text := _text_of(one, tag))}
            for one in answers
            if study_instance_uid in _values(one, _STUDY_INSTANCE_UID)
        ]
        return only(told, self._where)

    def _page(self, url: str, offset: int) -> tuple[list[Any], bool]:
        """Return the entries of one page, and whether the archive says or hints that it has more.

        Raises
        ------
        Unavailable
            The archive cannot answer now.
        Refused
            It does not answer this question.
        """
        query = httpx.QueryParams({"limit": PAGE, "offset": offset})
        status, headers, body = self._ask(f"{url}?{query}")
        if status == 204:  # nothing matches (PS3.18 8.3.4.4)
            return [], False
        told = _decoded(body)
        if told is None:
            raise Refused("DICOMWEB-NOT-JSON", f"{self._where} did not answer in DICOM JSON")
        return told, len(told) == PAGE or headers.get("Warning", "").startswith("299")

    def _ask(self, url: str) -> tuple[int, httpx.Headers, bytes]:
        authorization = self._auth.header()
        headers = {} if authorization is None else {"Authorization": authorization}
        try:
            with self._http.stream("GET", url, headers=headers) as answer:
                self._check(answer.status_code)
                return answer.status_code, answer.headers, self._read(answer)
        except (httpx.TransportError, httpx.DecodingError) as error:
            # the cause is left out of the chain: its text may quote the URL
            raise Unavailable(f"{self._where}: {type(error).__name__}") from None

    def _read(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise Refused(
                    "DICOMWEB-TOO-LARGE", f"{self._where}: {LARGEST_ANSWER} bytes and more"
                )
        return bytes(body)

    def _check(self, status: int) -> None:
        """Raise what a status other than 200 and 204 means.

        Raises
        ------
        Unavailable
            The same request may work later.
        Refused
            It will not.
        """
        if status in {200, 204}:
            return
        said = f"{self._where} answered {status}"
        if status in _TEMPORARY:
            raise Unavailable(said)
        raise Refused(f"DICOMWEB-{status}", said)


def _decoded(body: bytes) -> list[Any] | None:
    """Read DICOM JSON (PS3.18 Annex F): a list of objects; None when it is none."""
    try:
        told = json.loads(body) if body.strip() else []
    except ValueError:
        return None
    return told if isinstance(told, list) else None


def _uid_of(one: Any, series_instance_uid: str) -> str | None:
    """Return the SOP Instance UID; None for an entry without one, or of another series."""
    series = next(_values(one, _SERIES_INSTANCE_UID), series_instance_uid)
    return next(_values(one, _SOP_INSTANCE_UID), None) if series == series_instance_uid else None


def _text_of(one: Any, tag: str) -> str:
    """Return an attribute as DICOM writes it: several values with backslashes, a name with its groups."""
    return "\\".join(
        _name(value) if isinstance(value, dict) else str(value).strip(" \0")
        for value in _raw(one, tag)
        if value is not None
    )


def _name(value: Mapping[str, Any]) -> str:
    groups = (str(value.get(group) or "").strip() for group in _NAME_GROUPS)
    name = "=".join(groups).rstrip("=")
    return name if name.strip("^=") else ""


def _values(one: Any, tag: str) -> Iterator[str]:
    for value in _raw(one, tag):
        if isinstance(value, str):
            yield value.strip(" \0")


def _raw(one: Any, tag: str) -> list[Any]:
    attribute = one.get(tag) if isinstance(one, dict) else None
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []

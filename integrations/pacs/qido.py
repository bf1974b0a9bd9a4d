"""What an archive holds, asked by QIDO-RS (PS3.18 10.6)."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
from pydicom.datadict import tag_for_keyword

from integrations.errors import Refused
from integrations.pacs.dicom_json import decoded, raw, values
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.query import only

PAGE = 1000
"""Instances that one request asks for."""

MOST_PAGES = 200

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""Of a person's name (PS3.18 F.2.2)."""
_STUDY_INSTANCE_UID = "0020000D"
_SOP_INSTANCE_UID = "00080018"
_SERIES_INSTANCE_UID = "0020000E"


class QidoArchiveIndex:
    """The `ArchiveIndex` of a peer with DICOMweb.

    The list is asked for page by page until one brings nothing new, whatever their size: archives cut answers
    short where they like, and a list that is cut would pass for a whole series.

    Parameters
    ----------
    service
        Where it is asked.
    """

    def __init__(self, service: Dicomweb) -> None:
        self._service = service

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
        url = f"{self._service.base_url}/studies/{study}/series/{series}/instances"
        found: set[str] = set()
        asked = 0
        for _ in range(MOST_PAGES):
            told, more = self._page(url, asked)
            page = {uid for one in told if (uid := _uid_of(one, series_instance_uid))}
            if page <= found:
                # a second page that repeats the first: paging is ignored, and whether that was all is open
                if told and more:
                    raise Refused(
                        "DICOMWEB-CUT-SHORT", f"{self._service} gives only part of a list"
                    )
                return frozenset(found)
            found |= page
            asked += len(told)
        raise Refused("DICOMWEB-ENDLESS-LIST", f"{self._service}: more than {MOST_PAGES} pages")

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
        answer = self._service.get(f"{self._service.base_url}/studies?{query}")
        answers = [] if answer.status == 204 else decoded(answer.body)
        if answers is None:
            raise Refused("DICOMWEB-NOT-JSON", f"{self._service} did not answer in DICOM JSON")
        told = [
            {keyword: text for keyword, tag in tags.items() if (text := _text_of(one, tag))}
            for one in answers
            if study_instance_uid in values(one, _STUDY_INSTANCE_UID)
        ]
        return only(told, str(self._service))

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
        answer = self._service.get(f"{url}?{query}")
        if answer.status == 204:  # nothing matches (PS3.18 8.3.4.4)
            return [], False
        told = decoded(answer.body)
        if told is None:
            raise Refused("DICOMWEB-NOT-JSON", f"{self._service} did not answer in DICOM JSON")
        return told, len(told) == PAGE or answer.headers.get("Warning", "").startswith("299")


def _uid_of(one: Any, series_instance_uid: str) -> str | None:
    """Return the SOP Instance UID; None for an entry without one, or of another series."""
    series = next(values(one, _SERIES_INSTANCE_UID), series_instance_uid)
    return next(values(one, _SOP_INSTANCE_UID), None) if series == series_instance_uid else None


def _text_of(one: Any, tag: str) -> str:
    """Return an attribute as DICOM writes it: several values with backslashes, a name with its groups."""
    return "\\".join(
        _name(value) if isinstance(value, dict) else str(value).strip(" \0")
        for value in raw(one, tag)
        if value is not None
    )


def _name(value: Mapping[str, Any]) -> str:
    groups = (str(value.get(group) or "").strip() for group in _NAME_GROUPS)
    name = "=".join(groups).rstrip("=")
    return name if name.strip("^=") else ""

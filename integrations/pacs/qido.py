"""What an archive holds, asked by QIDO-RS (PS3.18 10.6)."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
from pydicom.datadict import tag_for_keyword

from integrations.archive import require_plain
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
    """The `ArchiveIndex` and `PatientIndex` of a peer with DICOMweb.

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
        told = self._told("studies", {"StudyInstanceUID": study_instance_uid}, keywords)
        ours = [one for uid, one in told if uid == study_instance_uid]
        return only(ours, str(self._service))

    def studies_of(
        self, patient_id: str, days: tuple[date, date], keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the studies under a Patient ID; see `PatientIndex.studies_of`.

        Raises
        ------
        Unavailable
            The archive cannot be reached, or cannot answer now.
        Refused
            It does not answer this question, not in DICOM JSON, only in part; or ``PATIENT-ID-AMBIGUOUS``.
        """
        require_plain(patient_id)
        between = f"{days[0]:%Y%m%d}-{days[1]:%Y%m%d}"
        asked = {"PatientID": patient_id, "StudyDate": between, "limit": str(PAGE)}
        return self._all("studies", asked, keywords, "StudyInstanceUID")

    def series_of(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the series of a study; see `PatientIndex.series_of`.

        Raises
        ------
        Unavailable
            The archive cannot be reached, or cannot answer now.
        Refused
            It does not answer this question, not in DICOM JSON, or only in part.
        """
        where = f"studies/{quote(study_instance_uid, safe='')}/series"
        return self._all(where, {"limit": str(PAGE)}, keywords, "SeriesInstanceUID")

    def _all(
        self, where: str, asked: Mapping[str, str], keywords: Sequence[str], key: str
    ) -> list[dict[str, str]]:
        """Return what one page says of each match: nobody has more studies, no study more series.

        Raises
        ------
        Refused
            It has, or gives only a part.
        """
        told = self._told(where, asked, keywords)
        if len(told) >= PAGE:
            raise Refused("DICOMWEB-CUT-SHORT", f"{self._service} gives only part of a list")
        return [{**one, key: uid} for uid, one in told if uid]

    def _told(
        self, where: str, asked: Mapping[str, str], keywords: Sequence[str]
    ) -> list[tuple[str | None, dict[str, str]]]:
        """Return, of each match, the UID of its level and what is said under the keywords.

        Raises
        ------
        Refused
            The answer is not in DICOM JSON.
        """
        tags = {keyword: f"{tag_for_keyword(keyword) or 0:08X}" for keyword in keywords}
        query = httpx.QueryParams({**asked, "includefield": ",".join(tags.values())})
        answer = self._service.get(f"{self._service.base_url}/{where}?{query}")
        answers = [] if answer.status == 204 else decoded(answer.body)
        if answers is None:
            raise Refused("DICOMWEB-NOT-JSON", f"{self._service} did not answer in DICOM JSON")
        uid = _SERIES_INSTANCE_UID if where.endswith("series") else _STUDY_INSTANCE_UID
        return [
            (
                next(values(one, uid), None),
                {keyword: text for keyword, tag in tags.items() if (text := _text_of(one, tag))},
            )
            for one in answers
        ]

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

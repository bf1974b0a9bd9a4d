"""A folder of DICOM files as the series that rules are asked about."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from node.core.study import GEOMETRY_KEYWORDS, IDENTITY_KEYWORDS
from node.dicom.header import HeaderReader
from node.errors import NotUnderstood


def facts_of(folder: Path, asked: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return each series' facts by Series Instance UID, as reception would; other files are passed over.

    Parameters
    ----------
    asked
        What rules and cards ask for.
    """
    reader = HeaderReader(asked)
    found: dict[str, dict[str, Any]] = {}
    unasked = {*IDENTITY_KEYWORDS, *GEOMETRY_KEYWORDS[:3]}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with path.open("rb") as file:
                header = reader.read(file)
        except NotUnderstood:
            continue
        asked = {key: value for key, value in header.values.items() if key not in unasked}
        first = {**asked, "SOPClassUID": header.sop_class_uid, "SeriesInstances": 0}
        found.setdefault(header.series_instance_uid, first)["SeriesInstances"] += 1
    return dict(found)

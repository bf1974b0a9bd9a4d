"""One result as a set of DICOM objects that reference each other."""

import hashlib
from pathlib import Path

from inference.findings import Result
from inference.results.key_objects import key_objects
from inference.results.objects import (
    ResultObject,
    ResultObjects,
    ResultRequest,
    StoredObject,
)
from inference.results.parametric_map import parametric_map
from inference.results.presentation_state import presentation_state
from inference.results.profile import GENERIC_PACS, PROFILES, Profile
from inference.results.report import report
from inference.results.secondary_capture import secondary_captures
from inference.results.segmentation import segmentation
from inference.results.summary import summary


def build(
    result: Result, request: ResultRequest, profile: Profile = PROFILES[GENERIC_PACS]
) -> ResultObjects:
    """Make the objects of a result, in the order of their delivery: the report last.

    The same arguments give the same bytes. Nothing here is fit to be sent before `gate.check`.
    """
    segments = segmentation(result, request, profile)
    explanation = parametric_map(result, request, profile)
    mask, saliency = (None if one is None else one.dataset for one in (segments, explanation))
    made = (
        segments,
        explanation,
        *secondary_captures(result, request, profile),
        key_objects(result, request, profile),
        presentation_state(result, request, profile),
        summary(result, request, profile),
        report(result, request, mask, saliency, profile),
    )
    return tuple(item for item in made if item is not None)


def write(objects: ResultObjects, folder: Path) -> tuple[StoredObject, ...]:
    """Write each object's bytes to ``<SOP Instance UID>.dcm`` in `folder`, which exists.

    Making them durable is the caller's part.

    Raises
    ------
    OSError
        The folder cannot be written; the caller tries again later.
    """
    return tuple(_write(item, folder) for item in objects)


def _write(item: ResultObject, folder: Path) -> StoredObject:
    path = folder / f"{item.sop_instance_uid}.dcm"
    path.write_bytes(item.encoded)
    return StoredObject(
        kind=item.kind,
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        series_instance_uid=item.series_instance_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        path=path,
        sha256=hashlib.sha256(item.encoded).hexdigest(),
    )

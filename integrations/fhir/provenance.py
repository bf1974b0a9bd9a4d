"""Whence a result comes: who made it, from what, and what it takes the place of."""

import re
from collections.abc import Sequence

from integrations.fhir.answers import Held
from integrations.fhir.coding import (
    AI_ASSERTED,
    AI_DEVICE,
    AUTHOR,
    CREATE,
    UPDATE,
    dicom_identifier,
    full_url,
    instant,
)
from integrations.fhir.resources import checked, model_reference, reference_to, study_reference
from integrations.fhir.wire import Resource
from integrations.lineage import version_of
from integrations.report import Report

_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?")
"""A literal reference within the server; other sources (``DICOM header``) are only told."""


def provenance(report: Report, targets: Sequence[Resource], former: Held | None = None) -> Resource:
    """Say who made the targets, from which images and values of the record, and what they take the place of.

    Parameters
    ----------
    former
        The report as it stood before this version; None when this is the first one here.
    """
    sources = [{"role": "source", "what": study_reference(report)}]
    for value in report.context:
        unit = f" {value.unit.value}" if value.unit is not None else ""
        what = {"display": f"{value.concept.meaning}: {value.value}{unit}"}
        if _REFERENCE.fullmatch(value.source):
            what = {"reference": value.source, **what}
        sources.append({"role": "source", "what": what})
    return checked({
        "resourceType": "Provenance",
        "meta": {"security": [AI_ASSERTED]},
        "target": [reference_to(one) for one in targets],
        "occurredDateTime": instant(report.issued),
        "recorded": instant(report.issued),
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": {"coding": [UPDATE if former else CREATE]},
        "agent": [
            {
                "type": {"coding": [AUTHOR]},
                "role": [{"coding": [AI_DEVICE], "text": "AI model"}],
                "who": model_reference(report),
            }
        ],
        "entity": [*sources, *_predecessors(report, former)],
    })


def provenance_name(report: Report) -> str:
    """Name the Provenance of a version: the resource has no identifier that could name it."""
    return full_url(dicom_identifier(version_of(report, "provenance")))


def _predecessors(report: Report, former: Held | None) -> list[Resource]:
    """Name the version that stood here, and the results that this one takes the place of."""
    replaced: list[Resource] = [
        {"identifier": dicom_identifier(one)} for one in report.predecessors
    ]
    if former is not None:
        first = replaced[0] if replaced else {}
        replaced = [{"reference": former.versioned, **first}, *replaced[1:]]
    return [{"role": "revision", "what": what} for what in replaced]

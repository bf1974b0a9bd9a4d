"""Marking what we wrote as entered in error: nothing is deleted, and nothing of anybody else is touched."""

from collections.abc import Sequence
from typing import Any

from integrations.errors import Refused
from integrations.fhir import resources
from integrations.fhir.client import FhirClient
from integrations.fhir.coding import UID_SYSTEM
from integrations.fhir.wire import Resource
from integrations.report import Report

WRONG = "entered-in-error"
"""FHIR R4 DiagnosticReport.status, Observation.status, ImagingStudy.status."""

GONE = {f"EHR-{status}" for status in (404, 410)}
"""Reasons of a reading that finds nothing: somebody has deleted it."""

CHANGED = f"EHR-{412}"
"""Reason of a writing that names another version than the server has."""


def standing(client: FhirClient, report: Report, summary: Resource) -> list[Resource]:
    """Return what we wrote of a report and is not marked yet, the report first.

    Parameters
    ----------
    summary
        The DiagnosticReport, as the server has it.

    Raises
    ------
    Unavailable
        The server cannot be asked now.
    Refused
        The server does not let us read it.
    """
    pointed = [*summary.get("result", []), *summary.get("imagingStudy", [])]
    found = [summary, *(_read(client, one["reference"]) for one in pointed if "reference" in one)]
    ours = _identifiers(report)
    return [
        one
        for one in found
        if one is not None and one.get("status") != WRONG and _is_ours(one, ours)
    ]


def bundle(marked: Sequence[Resource]) -> Resource:
    """Build the transaction that marks resources, each in the version that was read (FHIR R4 http, 3.1.0.5)."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(one) for one in marked],
    }


def reference(resource: Resource) -> str:
    """Refer to a resource that stands on the server."""
    return f"{resource['resourceType']}/{resource['id']}"


def _entry(resource: Resource) -> Resource:
    request = {"method": "PUT", "url": reference(resource)}
    version = resource.get("meta", {}).get("versionId")
    if version is not None:
        request["ifMatch"] = f'W/"{version}"'
    return {"resource": _marked(resource), "request": request}


def _marked(resource: Resource) -> Resource:
    marked = {**resource, "status": WRONG}
    if resource["resourceType"] == "ImagingStudy":
        # the study goes on under its UID, as another patient's: who looks for it must not find this one
        others = [one for one in resource.get("identifier", []) if one.get("system") != UID_SYSTEM]
        marked.pop("identifier", None)
        if others:
            marked["identifier"] = others
    return marked


def _read(client: FhirClient, literal: str) -> Resource | None:
    try:
        return client.read("/".join(literal.split("/")[-2:]))
    except Refused as error:
        if error.reason in GONE:
            return None
        raise


def _identifiers(report: Report) -> set[str]:
    written = [
        resources.report_identifier(report),
        *(one["identifier"][0] for one in resources.observations(report)),
    ]
    return {one["value"] for one in written}


def _is_ours(resource: dict[str, Any], identifiers: set[str]) -> bool:
    if resource["resourceType"] == "ImagingStudy":
        return bool(resources.is_tagged(resource))
    return any(one.get("value") in identifiers for one in resource.get("identifier", []))

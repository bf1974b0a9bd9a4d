"""Marking what we wrote as entered in error: nothing is deleted, and nothing of anybody else is touched."""

from collections.abc import Iterator, Sequence
from typing import Any

from integrations.errors import Refused
from integrations.fhir import notices, summary
from integrations.fhir.answers import WITHDRAWN, Held, objects
from integrations.fhir.client import FhirClient
from integrations.fhir.coding import UID_SYSTEM, dicom_identifier, full_url
from integrations.fhir.composition import (
    Notice,
    Wishes,
    Write,
    lasting_uids,
    marked,
    uid_of,
)
from integrations.fhir.resources import is_tagged
from integrations.fhir.strategies import GONE
from integrations.fhir.wire import Resource
from integrations.lineage import report_uid
from integrations.report import Report

IDENTITY_CORRECTED = "IDENTITY-CORRECTED"
"""Reason of a withdrawal after which the study is another patient's."""


def members(client: FhirClient, head: Held) -> list[Held]:
    """Read the observations that a report names; what somebody has deleted is left out.

    Raises
    ------
    Unavailable
        The server cannot be asked now.
    Refused
        It does not let us read one.
    """
    return _read(client, head.resource.get("result"))


def beside(report: Report, wishes: Wishes) -> Iterator[Resource]:
    """Return type and identifier of what was written beside a report and is not named by it."""
    if wishes.task:
        head = {"identifier": [dicom_identifier(report_uid(report))]}
        yield summary.task(report, head)
    if wishes.notice is not Notice.NONE:
        kind = "Flag" if wishes.notice is Notice.FLAG else "Communication"
        for wish, _ in notices.critical_findings(report, wishes.critical):
            identifier = dicom_identifier(notices.notice_key(report, wish))
            yield {"resourceType": kind, "identifier": [identifier]}


def marks(client: FhirClient, report: Report, head: Held, others: Sequence[Held]) -> list[Write]:
    """Return how to mark what we wrote of a report and is not marked yet, the report first.

    Parameters
    ----------
    head
        The report, as the server has it.
    others
        What we wrote beside it.

    Raises
    ------
    Unavailable
        The server cannot be asked now.
    Refused
        The server does not let us read something.
    """
    versions = {uid_of(one) for one in objects(head.resource.get("identifier"))}
    lasting = {one.reference: lasting_uids(one.resource, versions) for one in others}
    # of a member that was marked before only the version's UID is left, and of somebody else's nothing is ours
    for one in members(client, head):
        if uids := lasting_uids(one.resource, versions):
            lasting[one.reference] = uids
            others = [*others, one]
    lasting[head.reference] = frozenset({report_uid(report)})
    return [
        Write(
            name=full_url({"value": one.reference}),
            resource=marked(one.resource, lasting[one.reference]),
            held=one,
        )
        for one in (head, *others)
        if not one.withdrawn
    ]


def moved_study(client: FhirClient, head: Held) -> list[Write]:
    """Return how to take a study from a patient whose it is not, if we wrote it there.

    Raises
    ------
    Unavailable
        The server cannot be asked now.
    Refused
        The server does not let us read it.
    """
    studies = _read(client, head.resource.get("imagingStudy"))
    return [_without_uid(one) for one in studies if _is_ours(one)]


def _without_uid(study: Held) -> Write:
    # the study goes on under its UID, as another patient's: who looks for it must not find this one
    others = [one for one in study.resource["identifier"] if one.get("system") != UID_SYSTEM]
    resource = {**study.resource, "identifier": others, "status": WITHDRAWN}
    if not others:
        del resource["identifier"]
    return Write(name=full_url({"value": study.reference}), resource=resource, held=study)


def _is_ours(study: Held) -> bool:
    return not study.withdrawn and is_tagged(study.resource)


def _read(client: FhirClient, references: Any) -> list[Held]:
    found = []
    for one in objects(references):
        if "reference" not in one:
            continue
        try:
            found.append(client.hold("/".join(str(one["reference"]).split("/")[-2:])))
        except Refused as error:
            if error.reason not in GONE:
                raise
    return found

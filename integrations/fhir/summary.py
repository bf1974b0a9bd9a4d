"""What binds a result together in a record: the report or the document, and the task that is done."""

import base64
import hashlib
from collections.abc import Sequence

from integrations.concepts import IMAGING_REPORT
from integrations.errors import Refused
from integrations.fhir.coding import AI_ASSERTED, RADIOLOGY, codeable_concept, instant
from integrations.fhir.resources import (
    accession,
    checked,
    effective,
    known,
    model_reference,
    reference_to,
    report_identifiers,
    study_reference,
    versioned,
)
from integrations.fhir.wire import Resource
from integrations.lineage import derived_uid, report_uid
from integrations.report import Report

RESEARCH = "RESEARCH"


def diagnostic_report(
    report: Report, results: Sequence[Resource], *, status: str = "preliminary", page: bool = False
) -> Resource:
    """Bind the observations into one report (FHIR R4 DiagnosticReport.status).

    Parameters
    ----------
    status
        ``preliminary``, or ``partial`` where the site wants that; ``amended`` follows a final one only.
    page
        The page of the result is presented with it, where there is one.
    """
    number = report.study.accession_number
    order = {"type": "ServiceRequest", "identifier": accession(number)} if number else None
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": report_identifiers(report),
        "basedOn": [order] if order else [],
        "status": status,
        "category": [{"coding": [RADIOLOGY]}],
        "code": codeable_concept(report.procedure),
        "subject": {"reference": report.record_patient},
        **effective(report),
        "issued": instant(report.issued),
        "result": [reference_to(one) for one in results],
        "imagingStudy": [study_reference(report)],
        "conclusion": conclusion(report),
        "presentedForm": [_attachment(report)] if page and report.page is not None else [],
    }
    return checked(known(resource))


def document_reference(report: Report) -> Resource:
    """Describe the page of the result as a document, or its conclusion as text where there is no page."""
    return checked({
        "resourceType": "DocumentReference",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": report_identifiers(report),
        "status": "current",
        "docStatus": "preliminary",
        "type": codeable_concept(IMAGING_REPORT),
        "category": [{"coding": [RADIOLOGY]}],
        "subject": {"reference": report.record_patient},
        "date": instant(report.issued),
        "author": [model_reference(report)],
        "description": _title(report),
        "content": [{"attachment": _attachment(report)}],
        "context": {"related": [study_reference(report)]},
    })


def task(report: Report, summary: Resource) -> Resource:
    """Say that the analysis is done, for whoever follows our work (FHIR R4 Task.status)."""
    when = instant(report.issued)
    return checked({
        "resourceType": "Task",
        "identifier": versioned(report, derived_uid(report_uid(report), "task")),
        "status": "completed",
        "intent": "order",
        "code": {"text": f"AI analysis of images: {report.model.name}"},
        "focus": study_reference(report),
        "for": {"reference": report.record_patient},
        "authoredOn": when,
        "lastModified": when,
        "owner": model_reference(report),
        "output": [{"type": {"text": "Report"}, "valueReference": reference_to(summary)}],
    })


def conclusion(report: Report) -> str:
    """Return the conclusion, which says RESEARCH where the model is no product."""
    if report.model.content_qualification != RESEARCH or RESEARCH in report.conclusion:
        return report.conclusion
    return f"{RESEARCH}, not for diagnosis. {report.conclusion}"


def _attachment(report: Report) -> Resource:
    if report.page is None:
        content, kind = conclusion(report).encode(), "text/plain; charset=utf-8"
    else:
        content, kind = _bytes(report), "application/pdf"
    return {
        "contentType": kind,
        "data": base64.b64encode(content).decode(),
        "size": len(content),
        "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),  # noqa: S324 -- R4 Attachment.hash
        "title": _title(report),
        "creation": instant(report.issued),
    }


def _bytes(report: Report) -> bytes:
    """Read the page.

    Raises
    ------
    Refused
        It is not on the disk any more.
    """
    try:
        return report.page.read_bytes() if report.page is not None else b""
    except OSError:
        raise Refused("RESULT-FILE-GONE", "the page is not on the disk any more") from None


def _title(report: Report) -> str:
    return f"AI result: {report.model.name} {report.model.version} (unreviewed)"

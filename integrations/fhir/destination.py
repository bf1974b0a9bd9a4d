"""Write a report into a FHIR server: once, whole, and only for a verified patient."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from integrations.destination import Progress, Receipt
from integrations.errors import Refused, Unavailable
from integrations.fhir import resources, withdrawal
from integrations.fhir.client import FhirClient, token
from integrations.fhir.coding import derived_uid, dicom_identifier, full_url
from integrations.fhir.wire import Resource
from integrations.report import Instance, PatientIdentity, Report


class FhirDestination:
    """The `Destination` that is a FHIR R4 server with transactions and conditional create.

    A result set is one DiagnosticReport. It is looked for first, and written in one transaction in which
    every resource is created only when its identifier does not exist yet. So a second delivery finds the
    report, also when the first one's answer was lost. Of two at the same moment, a server that keeps
    transactions apart lets one create and gives the other what the first has made, or answers it 409, which
    is `Unavailable` and then found; there a second Provenance may stay behind, because a Provenance has no
    identifier to look for. A server that does not keep them apart can make two of each, and only the
    caller's own claim on the delivery prevents that.

    Parameters
    ----------
    client
        The server.
    """

    def __init__(self, client: FhirClient) -> None:
        self._client = client

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Write the report, unless it stands there already.

        The instances and their progress are not used: an EHR takes none, and one transaction has no steps.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot take it now.
        Refused
            ``PATIENT-NOT-VERIFIED``, or the server's no (``EHR-412``).
        """
        if report.record_patient is None:
            raise Refused("PATIENT-NOT-VERIFIED", "no patient of the record is the study's")
        standing = self._find(report)
        if standing is not None:
            return Receipt(
                references=_references(standing), confirmed=True, remark="it was there already"
            )
        answer = self._client.transact(bundle(report))
        written = _locations(answer)
        if not written or not written[0].startswith("DiagnosticReport/"):
            written = self._read_back(report)
        return Receipt(references=written, confirmed=True)

    def withdraw(
        self,
        report: Report,
        receipt: Receipt | None,
        reason: str,
        *,
        instances: Sequence[Instance] = (),
        owed_at: datetime | None = None,
        patient: PatientIdentity | None = None,
    ) -> Receipt:
        """Mark the report and what we wrote with it as entered in error, in one transaction.

        It is looked for as `deliver` does it, so also a report whose answer was lost is found. The reason is
        for the caller's own records: a status is all that FHIR has for it.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot take it now, or somebody changed a resource meanwhile.
        Refused
            The server's no (``EHR-403``).
        """
        summary = self._find(report) or self._read(receipt)
        if summary is None:
            return Receipt(references=(), confirmed=True, remark="nothing stood there")
        marked = withdrawal.standing(self._client, report, summary)
        if not marked:
            return Receipt(references=(), confirmed=True, remark="it was withdrawn before")
        try:
            _locations(self._client.transact(withdrawal.bundle(marked)))
        except Refused as error:
            if error.reason == withdrawal.CHANGED:
                raise Unavailable("a resource was changed meanwhile") from error
            raise
        return Receipt(
            references=tuple(withdrawal.reference(one) for one in marked), confirmed=True
        )

    def _read(self, receipt: Receipt | None) -> Resource | None:
        """Read the report under the reference that the server gave once; None when it is not there.

        Raises
        ------
        Unavailable
            The server cannot be asked now.
        Refused
            It does not give it.
        """
        if receipt is None or not receipt.references:
            return None
        try:
            return self._client.read(receipt.references[0])
        except Refused as error:
            if error.reason in withdrawal.GONE:
                return None
            raise

    def _find(self, report: Report) -> Resource | None:
        identifier = resources.report_identifier(report)
        value = token(identifier["system"], identifier["value"])
        for found in self._client.search("DiagnosticReport", {"identifier": value}):
            if identifier["value"] in [one.get("value") for one in found.get("identifier", [])]:
                return found
        return None

    def _read_back(self, report: Report) -> tuple[str, ...]:
        """Ask a server that did not tell its references for them.

        Raises
        ------
        Refused
            The server took the transaction and does not have the report.
        """
        standing = self._find(report)
        if standing is None:
            raise Refused("EHR-LOST", "the server took the report and does not have it")
        return _references(standing)


def bundle(report: Report) -> Resource:
    """Build the transaction that writes a report, the report first.

    Raises
    ------
    ValueError
        A resource is not valid: a mistake of ours.
    """
    results = resources.observations(report)
    summary = resources.diagnostic_report(report, results)
    entries = [_entry(one) for one in [summary, *results]]
    entries += [_entry(resources.imaging_study(report)), _entry(resources.device(report))]
    trail = resources.provenance(report, [summary, *results])
    trail_name = full_url(dicom_identifier(derived_uid(report.result_set_uid, "provenance")))
    entries.append({
        "fullUrl": trail_name,
        "resource": trail,
        "request": {"method": "POST", "url": "Provenance"},
    })
    return resources.checked({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _entry(resource: Resource) -> Resource:
    """Create a resource on condition that its first identifier does not exist."""
    identifier = resource["identifier"][0]
    condition = f"identifier={token(identifier['system'], identifier['value'])}"
    return {
        "fullUrl": full_url(identifier),
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": condition,
        },
    }


def _locations(answer: Resource) -> tuple[str, ...]:
    """Read the references of a transaction's entries, in its order; none when one is not told.

    Servers differ: the status may come without its text, the location relative, absolute, with or without
    a version, or not at all.

    Raises
    ------
    Refused
        An entry failed although the transaction was answered with success.
    """
    references = []
    for entry in answer.get("entry", []):
        response = entry.get("response", {})
        status = str(response.get("status", ""))[:3]
        if status not in {"200", "201"}:
            raise Refused(f"EHR-{status}", "an entry of the transaction failed")
        references.append(_reference(response.get("location", ""), entry.get("resource", {})))
    return tuple(references) if all(references) else ()


def _reference(location: str, resource: Resource) -> str:
    parts = location.partition("/_history/")[0].rstrip("/").split("/")
    if len(parts) > 1:
        return "/".join(parts[-2:])
    if "id" in resource:
        return f"{resource['resourceType']}/{resource['id']}"
    return ""


def _references(report: dict[str, Any]) -> tuple[str, ...]:
    """Refer to a report that stands in the record, and to what it points to."""
    pointed = [*report.get("result", []), *report.get("imagingStudy", [])]
    return (
        f"DiagnosticReport/{report['id']}",
        *("/".join(one["reference"].split("/")[-2:]) for one in pointed if "reference" in one),
    )

"""Orders as a FHIR server tells them: ServiceRequest (FHIR R4) by accession number."""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.errors import Refused
from integrations.fhir.client import FhirClient, token
from integrations.fhir.wire import Resource
from integrations.order import Order, PatientKey, Urgency

_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_URGENCIES: Mapping[str, Urgency] = {
    "stat": Urgency.STAT,
    "asap": Urgency.HIGH,
    "urgent": Urgency.HIGH,
}
_ENDED = frozenset({"revoked"})
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_SENSITIVITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


class FhirOrders:
    """The `OrderSource` that is a FHIR R4 server.

    Where a request is based on another one, as a department's on that of who ordered, the other one completes
    it: the more urgent of both counts.

    Parameters
    ----------
    client
        The server.
    accession_system
        ``identifier.system`` of accession numbers; None for any.
    """

    def __init__(self, client: FhirClient, accession_system: str | None = None) -> None:
        self._client = client
        self._accession_system = accession_system

    def orders(self, accession_number: str) -> list[Order]:
        """Every request with an accession number whose patient has an identifier.

        Raises
        ------
        Unavailable
            The server cannot be asked now.
        Refused
            It does not allow the search.
        """
        asked = self._asked(accession_number)
        requests = self._client.search("ServiceRequest", {"identifier": asked})
        found = []
        for request in requests:
            # a lenient server ignores what it does not understand, and then everything matches
            if self._carries(request, accession_number) and _usable(request):
                patient = self._patient(request)
                if patient:
                    found.append(_order(request, self._basis(request), accession_number, patient))
        return found

    def _asked(self, accession_number: str) -> str:
        if self._accession_system is None:
            return token("", accession_number).removeprefix("|")
        return token(self._accession_system, accession_number)

    def _carries(self, request: Resource, accession_number: str) -> bool:
        return any(
            one.get("value") == accession_number
            and _kind(one) != "PLAC"
            and self._accession_system in {None, one.get("system")}
            for one in request.get("identifier", [])
        )

    def _basis(self, request: Resource) -> Resource:
        """Return the request that one is based on, when it is there and of the same patient; else nothing."""
        for basis in request.get("basedOn", []):
            reference = _local(basis, "ServiceRequest")
            if reference is not None:
                read = self._read(reference)
                same = read.get("subject", {}).get("reference") == request["subject"]["reference"]
                return read if same and _usable(read) else {}
        return {}

    def _patient(self, request: Resource) -> tuple[PatientKey, ...]:
        reference = _local(request.get("subject", {}), "Patient")
        if reference is None:
            return ()
        return tuple(
            PatientKey(patient_id=one["value"], authority=one["system"])
            for one in self._read(reference).get("identifier", [])
            if one.get("system") and one.get("value")
        )

    def _read(self, reference: str) -> Resource:
        try:
            return self._client.read(reference)
        except Refused as error:
            if error.reason.removeprefix("EHR-") in {"404", "410"}:
                return {}
            raise


def _order(
    request: Resource, basis: Resource, accession_number: str, patient: tuple[PatientKey, ...]
) -> Order:
    both = [one for one in (request, basis) if one]
    named = {_URGENCIES.get(one.get("priority", ""), Urgency.ROUTINE) for one in both}
    return Order(
        accession_number=accession_number,
        patient=patient,
        placer_order_number=_number(both, "PLAC"),
        filler_order_number=_number(both, "FILL"),
        urgency=next(one for one in Urgency if one in named),
        reason=next((reason for one in both if (reason := _reason(one))), ""),
        active=request.get("status") not in _ENDED,
    )


def _usable(request: Mapping[str, Any]) -> bool:
    return bool(request) and request.get("status") != "entered-in-error"


def _local(reference: Mapping[str, Any], kind: str) -> str | None:
    """Return a reference to a resource of this server as ``Kind/id``."""
    written = str(reference.get("reference", ""))
    parts = written.split("/")
    return written if len(parts) == 2 and parts[0] == kind and parts[1] else None


def _kind(identifier: Mapping[str, Any]) -> str | None:
    """Return the type of an identifier in the codes of HL7 table 0203."""
    codings = identifier.get("type", {}).get("coding", [])
    return next((one.get("code") for one in codings if one.get("system") == _TYPES), None)


def _number(requests: Sequence[Resource], kind: str) -> str:
    return next(
        (
            str(one["value"])
            for request in requests
            for one in request.get("identifier", [])
            if _kind(one) == kind and one.get("value")
        ),
        "",
    )


def _reason(request: Resource) -> str:
    """Return why it was ordered; not where the resource is labelled as sensitive or restricted."""
    for label in request.get("meta", {}).get("security", []):
        restricted = label.get("system") == _CONFIDENTIALITY and label.get("code") in {"R", "V"}
        if restricted or label.get("system") == _SENSITIVITY:
            return ""
    for reason in request.get("reasonCode", []):
        shown = [one.get("display", "") for one in reason.get("coding", [])]
        for text in (reason.get("text", ""), *shown):
            if text:
                return str(text)
    return ""

"""Find the one patient of a study in a FHIR server, beyond doubt or not at all.

The server is asked for an identifier of an issuer, never for a resemblance. What it answers is looked at again:
a lenient server ignores what it does not understand, and then everybody matches.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.errors import NotVerified, Refused
from integrations.fhir.client import NOT_OFFERED, FhirClient, token
from integrations.fhir.elements import has_code, local, many, one, text
from integrations.fhir.matching import contradiction
from integrations.fhir.wire import Resource
from integrations.report import PatientIdentity

ACCESSION_TYPE = "ACSN"
"""Identifier type of an accession number (v2-0203)."""

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""FHIR R4 id."""

_MOST_MERGES = 8
"""Longest chain of replaced records that is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The patient of a study, verified.

    Parameters
    ----------
    resource
        The Patient resource.
    references
        Its own reference, and those of the records that it replaced on the way to it.
    order
        The ServiceRequest of the study's accession number; None when there is none.
    """

    resource: Resource
    references: frozenset[str]
    order: Resource | None

    @property
    def reference(self) -> str:
        """Logical reference: ``Patient/123``."""
        return f"Patient/{text(self.resource, 'id')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patients:
    """The patients of one server.

    Parameters
    ----------
    identifier_systems
        FHIR ``identifier.system`` of each Issuer of Patient ID (0010,0021).
    accession_system
        ``identifier.system`` of accession numbers; None where only their type (``ACSN``) tells them.
    """

    client: FhirClient
    identifier_systems: Mapping[str, str] = field(default_factory=dict)
    accession_system: str | None = None

    def find(self, identity: PatientIdentity, accession_number: str | None) -> Found:
        """Give the one patient who is the study's.

        Raises
        ------
        NotVerified
            ``NO-IDENTIFIER-SYSTEM``, ``NO-PATIENT``, ``SEVERAL-PATIENTS``, ``PATIENT-INACTIVE``,
            ``MERGE-UNCLEAR``, ``BIRTH-DATE-UNKNOWN``, ``BIRTH-DATE-DIFFERS``, ``NAME-DIFFERS``,
            ``SEX-DIFFERS`` or ``ACCESSION-OF-ANOTHER``.
        Unavailable
            The server cannot be asked now.
        Refused
            The server does not allow it.
        """
        patient, references = self._one(identity)
        reason = contradiction(patient, identity)
        if reason is not None:
            raise NotVerified(reason, "the record's patient is not the study's")
        order = self._order(references, accession_number) if accession_number else None
        return Found(resource=patient, references=references, order=order)

    def _one(self, identity: PatientIdentity) -> tuple[Resource, frozenset[str]]:
        system = self.identifier_systems.get(identity.issuer_of_patient_id or "")
        if system is None:
            raise NotVerified("NO-IDENTIFIER-SYSTEM", "no system is known for the issuer")
        if not identity.patient_id:
            # an empty value would ask for everybody whom the issuer knows
            raise NotVerified("NO-PATIENT", "the study names no patient")
        matches = self.client.search("Patient", {"identifier": token(system, identity.patient_id)})
        carriers = [one for one in matches if _carries(one, system, identity.patient_id)]
        if not carriers:
            raise NotVerified("NO-PATIENT", "no patient has the identifier")
        if not all(_ID.fullmatch(text(one, "id")) for one in carriers):
            raise Refused("EHR-NOT-FHIR", "a patient of the record has no id")
        ways = [self._survivor(one) for one in carriers]
        living = {text(way[-1], "id"): way for way in ways if _is_in_use(way[-1])}
        if not living:
            raise NotVerified("PATIENT-INACTIVE", "the patient's record is not in use")
        if len(living) > 1:
            raise NotVerified("SEVERAL-PATIENTS", "several patients have the identifier")
        ((known, last),) = ((name, way[-1]) for name, way in living.items())
        behind = {text(one, "id") for way in ways if text(way[-1], "id") == known for one in way}
        return last, frozenset(f"Patient/{name}" for name in behind)

    def _survivor(self, patient: Resource) -> list[Resource]:
        """Follow a merged record to the one that replaced it (FHIR R4 Patient.link): the whole way.

        Raises
        ------
        NotVerified
            The links lead in a circle, to two records, to another server or to nobody.
        """
        way = [patient]
        for _ in range(_MOST_MERGES):
            replacements = _replaced_by(way[-1])
            if not replacements:
                return way
            reference = local(replacements[0], self.client.base_url)
            seen = {f"Patient/{text(one, 'id')}" for one in way}
            if len(replacements) > 1 or not reference.startswith("Patient/") or reference in seen:
                break
            following = self.client.read(reference)
            if f"Patient/{text(following, 'id')}" != reference:
                break
            way.append(following)
        raise NotVerified("MERGE-UNCLEAR", "the record was replaced, and it is not clear by which")

    def _order(self, patient: frozenset[str], accession_number: str) -> Resource | None:
        """Return the accession number's order, which must be of the patient; None when there is none.

        Raises
        ------
        NotVerified
            ``ACCESSION-OF-ANOTHER``.
        Refused
            The server does not allow it, although it keeps orders.
        """
        asked = accession_number
        if self.accession_system is not None:
            asked = token(self.accession_system, accession_number)
        try:
            matches = self.client.search("ServiceRequest", {"identifier": asked})
        except Refused as error:
            if error.reason in NOT_OFFERED:
                return None  # then there is none to compare with
            raise
        orders = [one for one in matches if self._is_of(one, accession_number)]
        if any(not self._concerns(one, patient) for one in orders):
            raise NotVerified("ACCESSION-OF-ANOTHER", "the accession number is another patient's")
        return orders[0] if orders else None

    def _is_of(self, order: Resource, accession_number: str) -> bool:
        return text(order, "status") != "entered-in-error" and any(
            text(identifier, "value") == accession_number
            and (
                has_code(one(identifier, "type"), ACCESSION_TYPE)
                if self.accession_system is None
                else text(identifier, "system") == self.accession_system
            )
            for identifier in many(order, "identifier")
        )

    def _concerns(self, order: Resource, patient: frozenset[str]) -> bool:
        subject = local(text(one(order, "subject"), "reference"), self.client.base_url)
        if subject in patient:
            return True
        if not subject.startswith("Patient/"):
            return False
        # an order may still name the record that was replaced
        last = self._survivor(self.client.read(subject))[-1]
        return f"Patient/{text(last, 'id')}" in patient


def _carries(patient: Mapping[str, Any], system: str, value: str) -> bool:
    return any(
        (text(item, "system"), text(item, "value")) == (system, value)
        for item in many(patient, "identifier")
    )


def _is_in_use(patient: Mapping[str, Any]) -> bool:
    return patient.get("active", True) is True


def _replaced_by(patient: Mapping[str, Any]) -> list[str]:
    """Return references of the records that replace this one; an unknown one is an empty text."""
    links = [link for link in many(patient, "link") if text(link, "type") == "replaced-by"]
    return [text(one(link, "other"), "reference") for link in links]

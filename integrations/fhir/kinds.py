"""Which resources can answer a question, and when one of them is a fact: a table by resource type.

Everything that is not certain is no fact: what was ordered and not begun, suspected and not confirmed, entered
in error, or of an unknown state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from integrations.fhir import moments
from integrations.fhir.elements import codings, has_code, many, one, text
from integrations.fhir.moments import Moment
from integrations.fhir.wire import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one resource type is searched and read.

    Parameters
    ----------
    when
        Elements that say when it became so; all that are there must be before the study, and the first one is
        the moment that is kept.
    statuses
        Values of ``status`` of a fact; empty where the type has none.
    concept
        The element with its code.
    patient
        The element with its patient.
    searched_by
        Search parameter for the code; None where it is searched without.
    dated_by
        Search parameter for the moment; None where it is searched without.
    """

    when: tuple[str, ...]
    statuses: frozenset[str] = frozenset()
    concept: str = "code"
    patient: str = "subject"
    searched_by: str | None = "code"
    dated_by: str | None = None

    def is_fact(self, resource: Resource) -> bool:
        """Whether a resource says that something is so, and not that it might be."""
        if self.statuses and text(resource, "status") not in self.statuses:
            return False
        verified, clinical = one(resource, "verificationStatus"), one(resource, "clinicalStatus")
        if codings(verified) and not has_code(verified, "confirmed"):
            return False
        return not codings(clinical) or has_code(clinical, "active", "recurrence", "relapse")

    def moment(self, resource: Resource) -> Moment | None:
        """Give the moment that is kept; None when the resource names none."""
        return next(iter(moments.of(resource, *self.when)), None)

    def moments(self, resource: Resource) -> list[Moment]:
        """Give every moment that must be before the study."""
        return moments.of(resource, *self.when)

    def has_code(self, resource: Resource, codes: tuple[tuple[str, str], ...]) -> bool:
        """Whether a resource has one of these codes."""
        concepts = many(resource, self.concept) or [one(resource, self.concept)]
        known = {pair for concept in concepts for pair in codings(concept)}
        # ImagingStudy's modality is a list of Codings, which is what a concept holds
        known |= {(text(item, "system"), text(item, "code")) for item in concepts}
        return bool(known & set(codes))


KINDS: Mapping[str, Kind] = {
    "Observation": Kind(
        when=("effective",),
        statuses=frozenset({"final", "amended", "corrected"}),
        dated_by="date",
    ),
    "Condition": Kind(when=("onset", "recordedDate")),
    "AllergyIntolerance": Kind(when=("onset", "recordedDate"), patient="patient"),
    "MedicationRequest": Kind(
        when=("authoredOn",),
        statuses=frozenset({"active", "completed", "on-hold"}),
        concept="medicationCodeableConcept",
        dated_by="authoredon",
    ),
    "MedicationStatement": Kind(
        when=("effective", "dateAsserted"),
        statuses=frozenset({"active", "completed", "on-hold"}),
        concept="medicationCodeableConcept",
    ),
    "Procedure": Kind(when=("performed",), statuses=frozenset({"completed"}), dated_by="date"),
    "Encounter": Kind(
        when=("period",),
        statuses=frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"}),
        searched_by=None,
        dated_by="date",
    ),
    "DiagnosticReport": Kind(
        when=("effective", "issued"),
        statuses=frozenset({"final", "amended", "corrected", "appended"}),
        dated_by="date",
    ),
    "ImagingStudy": Kind(
        when=("started",),
        statuses=frozenset({"available"}),
        concept="modality",
        searched_by=None,  # servers differ in how they index a Coding without a concept
        dated_by="started",
    ),
}

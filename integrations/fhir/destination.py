"""Write a report into a FHIR server: once, whole, in its newest version, and only for a verified patient."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from integrations.destination import Progress, Receipt
from integrations.errors import Refused
from integrations.fhir import withdrawal
from integrations.fhir.answers import Held, objects
from integrations.fhir.capability import Abilities, abilities
from integrations.fhir.client import FhirClient
from integrations.fhir.coding import dicom_identifier
from integrations.fhir.composition import Standing, Wishes, Write, composed
from integrations.fhir.resources import report_identifiers
from integrations.fhir.strategies import (
    GONE,
    OneByOne,
    Strategy,
    Writer,
    search,
    the_only,
    writer,
)
from integrations.report import Instance, PatientIdentity, Report

_OURS_TO_CHANGE = frozenset({"preliminary", "partial", "registered", "current", None})
"""States of a report that nobody has made his own yet."""


class FhirDestination:
    """The `Destination` that is a FHIR R4 server.

    A report is one DiagnosticReport (or DocumentReference) through all its revisions, in as many versions. It
    is looked for first, so a second delivery finds it, also when the first one's answer was lost. A server
    that cannot keep two at the same moment apart can make two of it; only the caller's own claim on the
    delivery prevents that.

    Parameters
    ----------
    client
        The server.
    wishes
        What the site wants to have written.
    strategy
        How; None for the best that the server says it can, which is asked once.
    """

    def __init__(
        self,
        client: FhirClient,
        wishes: Wishes | None = None,
        strategy: Strategy | None = None,
    ) -> None:
        self._client = client
        self._wishes = Wishes() if wishes is None else wishes
        self._strategy = strategy
        self._abilities: Abilities | None = None

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Write the report, unless it stands there already, or a newer version of it.

        The instances and their progress are not used: an EHR takes none.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot take it now, or somebody changed a resource meanwhile.
        Refused
            ``PATIENT-NOT-VERIFIED``; ``EHR-FINAL`` when somebody has made the report his own;
            ``EHR-OTHER-SUBJECT`` when the study is another patient's there; or the server's no (``EHR-412``).
        """
        if report.record_patient is None:
            raise Refused("PATIENT-NOT-VERIFIED", "no patient of the record is the study's")
        able = self._able()
        ways = writer(self._strategy or able.strategy, self._client)
        heads = ways.heads(self._wishes.kind, report_identifiers(report))
        same = [one for one in heads if one.carries(report_identifiers(report)[1])]
        if same:
            if not same[0].withdrawn:
                self._complete(report, same[0], heads, ways)
            return _receipt(same[0], remark="it was there already")
        head = the_only(heads)
        if head is not None and head.subject != report.record_patient:
            # the patient was verified this moment: what stands there is on somebody else
            self._mark(report, head, ways)
            return self.deliver(report, instances, in_doubt=in_doubt, progress=progress)
        if head is not None and _is_newer(head, report):
            return _receipt(head, remark="a newer result stands there")
        if head is not None and head.resource.get("status") not in _OURS_TO_CHANGE:
            raise Refused("EHR-FINAL", "somebody has made the report his own")
        writes = composed(report, self._wished(), self._standing(report, head, heads, ways))
        places = ways.write(writes, _withdrawn(heads))
        return self._confirmed(report, writes, places, ways)

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
        """Mark this version of the report, and what we wrote with it, as entered in error.

        It is looked for as `deliver` does it, so also a report whose answer was lost is found. Where a newer
        version stands, nothing is to be taken back. A study that turned out to be another patient's loses its
        UID there; for another `reason` it stays as it is.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot take it now, or somebody changed a resource meanwhile.
        Refused
            The server's no (``EHR-403``).
        """
        ways = writer(self._strategy or self._able().strategy, self._client)
        head = self._found(report, receipt, ways)
        if head is None:
            return Receipt(references=(), confirmed=True, remark="nothing stood there")
        moved = reason == withdrawal.IDENTITY_CORRECTED
        taken = self._mark(report, head, ways, moved=moved)
        if not taken:
            return Receipt(references=(), confirmed=True, remark="it was withdrawn before")
        return Receipt(references=taken, confirmed=True)

    def _able(self) -> Abilities:
        """Return what the server can do; what a site has decided is not asked.

        Raises
        ------
        Unavailable
            It cannot be asked now.
        """
        if self._abilities is None:
            if self._strategy is None:
                self._abilities = abilities(self._client, self._wishes.kind)
            else:
                self._abilities = Abilities(strategy=self._strategy, refuses=frozenset())
        return self._abilities

    def _wished(self) -> Wishes:
        return replace(self._wishes, leave_out=self._wishes.leave_out | self._able().refuses)

    def _standing(
        self, report: Report, head: Held | None, heads: Sequence[Held], ways: Writer
    ) -> Standing:
        """Ask what stands there.

        Raises
        ------
        Refused
            The study is another patient's in the record (``EHR-OTHER-SUBJECT``).
        """
        uid = dicom_identifier(report.study.study_instance_uid)
        study = the_only(search(self._client, "ImagingStudy", [uid]))
        if study is not None and study.subject not in {None, report.record_patient}:
            raise Refused("EHR-OTHER-SUBJECT", "the record has the study as another patient's")
        former = None if head is None or _is_version(head, report) else head
        generation = _withdrawn(heads)
        return Standing(
            head=head,
            former=former,
            study=study,
            members=[] if head is None else withdrawal.members(self._client, head),
            find=lambda resource: ways.find(resource, generation),
        )

    def _complete(self, report: Report, head: Held, heads: Sequence[Held], ways: Writer) -> None:
        """Write what a call that was cut off, or a server without real transactions, left out."""
        rest = ways if isinstance(ways, OneByOne) else OneByOne(self._client)
        standing = self._standing(report, head, heads, ways)
        rest.write(composed(report, self._wished(), standing), _withdrawn(heads))

    def _confirmed(
        self, report: Report, writes: Sequence[Write], places: Mapping[str, str], ways: Writer
    ) -> Receipt:
        """Read the report back.

        Raises
        ------
        Refused
            The server took it and does not have it (``EHR-LOST``), or kept references to nothing
            (``EHR-UNRESOLVED``).
        """
        first = next(
            (where for where in places.values() if where.startswith(f"{self._wishes.kind}/")), None
        )
        head = self._read(first) if first is not None else self._found(report, None, ways)
        if head is None or not _is_version(head, report):
            raise Refused("EHR-LOST", "the server took the report and does not have it")
        if any(one.startswith("urn:uuid:") for one in _pointed(head)):
            raise Refused("EHR-UNRESOLVED", "the server keeps references to nothing")
        others = [places.get(one.name, "") for one in writes]
        return _receipt(head, [one for one in others if one])

    def _found(self, report: Report, receipt: Receipt | None, ways: Writer) -> Held | None:
        """Find this version of the report, by its identifier or else where it was written once."""
        identifiers = report_identifiers(report)
        for one in ways.heads(self._wishes.kind, identifiers):
            if one.carries(identifiers[1]):
                return one
        if receipt is None or not receipt.references:
            return None
        read = self._read(receipt.references[0])
        return read if read is not None and read.carries(identifiers[1]) else None

    def _read(self, reference: str) -> Held | None:
        """Read a resource; None when it is not there.

        Raises
        ------
        Unavailable
            The server cannot be asked now.
        Refused
            It does not give it.
        """
        try:
            return self._client.hold(reference)
        except Refused as error:
            if error.reason in GONE:
                return None
            raise

    def _mark(
        self, report: Report, head: Held, ways: Writer, *, moved: bool = False
    ) -> tuple[str, ...]:
        """Mark a report as wrong, with what we wrote beside it."""
        heads = ways.heads(self._wishes.kind, report_identifiers(report))
        generation = _withdrawn([one for one in heads if one.reference != head.reference])
        beside = withdrawal.beside(report, self._wishes)
        others = [one for one in (ways.find(one, generation) for one in beside) if one is not None]
        writes = [
            *withdrawal.marks(self._client, report, head, others),
            *(withdrawal.moved_study(self._client, head) if moved else ()),
        ]
        if writes:
            ways.write(writes, generation)
        return tuple(one.held.reference for one in writes if one.held is not None)


def _is_version(head: Held, report: Report) -> bool:
    return head.carries(report_identifiers(report)[1])


def _is_newer(head: Held, report: Report) -> bool:
    """Whether a report was made after ours; one that does not say when was not."""
    told = head.resource.get("issued") or head.resource.get("date")
    try:
        return datetime.fromisoformat(str(told)) > report.issued
    except (ValueError, TypeError):
        return False


def _withdrawn(heads: Sequence[Held]) -> int:
    return sum(one.withdrawn for one in heads)


def _pointed(head: Held) -> list[str]:
    pointed = [*objects(head.resource.get("result")), *objects(head.resource.get("imagingStudy"))]
    return [str(one["reference"]) for one in pointed if "reference" in one]


def _receipt(
    head: Held, others: Sequence[str] | None = None, *, remark: str | None = None
) -> Receipt:
    """Refer to a report that stands in the record, and to what was written with it or what it points to."""
    if others is None:
        others = ["/".join(one.split("/")[-2:]) for one in _pointed(head)]
    rest = [one for one in others if one != head.reference]
    return Receipt(references=(head.reference, *rest), confirmed=True, remark=remark)

"""Destinations and records in memory, for tests of whoever uses this library.

They keep the promises of the real ones: the contract suites of this project run on both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from integrations.archive import require_plain
from integrations.context import NOTHING_ELSE, Question, RecordContext
from integrations.destination import Progress, Receipt
from integrations.errors import IntegrationError, NotVerified, Refused, SyntaxRefused
from integrations.lineage import report_uid
from integrations.order import Order
from integrations.report import Instance, PatientIdentity, Report, UsedValue

_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(slots=True)
class MemoryArchive:
    """A `Destination`, `ArchiveIndex` and `PatientIndex` that keeps bytes and counts what it was sent.

    Parameters
    ----------
    failures
        Raised instead of taking the next instances, one each; None in it takes one.
    answers
        False: it stores, but refuses to say what it holds.
    withdraws
        It takes results back.
    takes
        The only pairs of SOP class and transfer syntax that it takes, and all of them when None.
    """

    failures: list[IntegrationError | None] = field(default_factory=list)
    answers: bool = True
    withdraws: bool = False
    takes: frozenset[tuple[str, str]] | None = None
    studies: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Attributes of the studies that it knows, by UID and keyword; a delivered report adds its study's."""
    series: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Attributes of its series, by UID and keyword; a delivered instance adds its own's modality."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """The bytes that it has, by SOP Instance UID."""
    sent: list[str] = field(default_factory=list)
    """SOP Instance UIDs in the order of their arrival, again for every arrival."""
    _series: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def holds(self, study: str, series: str, instances: Iterable[str]) -> None:
        """Have instances from the beginning, of which it has no bytes."""
        self._series.setdefault((study, series), set()).update(instances)
        self.series.setdefault(series, {})

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of a series; empty when it does not know it.

        Raises
        ------
        Refused
            It was told not to answer.
        """
        if not self.answers:
            raise Refused("NO-QUERY", "the archive does not answer queries")
        return frozenset(self._series.get((study_instance_uid, series_instance_uid), ()))

    def attributes(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Mapping[str, str] | None:
        """Say attributes of a study by keyword; None when it does not know the study.

        Raises
        ------
        Refused
            It was told not to answer.
        """
        if not self.answers:
            raise Refused("NO-QUERY", "the archive does not answer queries")
        told = self.studies.get(study_instance_uid)
        return None if told is None else _asked(told, keywords)

    def studies_of(
        self, patient_id: str, days: tuple[date, date], keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the studies under a Patient ID.

        Raises
        ------
        Refused
            It was told not to answer, or the number would match others too.
        """
        require_plain(patient_id)
        if not self.answers:
            raise Refused("NO-QUERY", "the archive does not answer queries")
        first, last = (f"{day:%Y%m%d}" for day in days)
        return [
            {"StudyInstanceUID": uid} | _asked(told, keywords)
            for uid, told in self.studies.items()
            if told.get("PatientID") == patient_id and first <= told.get("StudyDate", "") <= last
        ]

    def series_of(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the series of a study.

        Raises
        ------
        Refused
            It was told not to answer.
        """
        if not self.answers:
            raise Refused("NO-QUERY", "the archive does not answer queries")
        return [
            {"SeriesInstanceUID": series} | _asked(self.series[series], keywords)
            for study, series in self._series
            if study == study_instance_uid
        ]

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Keep the instances; one in doubt that it has is not taken again.

        Raises
        ------
        SyntaxRefused
            It does not take one of them.
        IntegrationError
            What it was told to raise.
        """
        study = report.study.study_instance_uid
        for one in instances:
            if self.takes is not None and _context(one) not in self.takes:
                raise SyntaxRefused("NO-PRESENTATION-CONTEXT", f"{one.sop_class_uid} is not taken")
        for one in instances:
            uid = one.sop_instance_uid
            if self.answers and uid in in_doubt and uid in self.stored:
                progress(uid, "SENT")
                continue
            progress(uid, "SENDING")
            failure = self.failures.pop(0) if self.failures else None
            if failure is not None:
                raise failure
            self.sent.append(uid)
            self.stored[uid] = one.path.read_bytes()
            self.studies.setdefault(study, _of_study(report))
            self._series.setdefault((study, one.series_instance_uid), set()).add(uid)
            self.series.setdefault(one.series_instance_uid, _of_series(one))
            progress(uid, "SENT")
        references = tuple(one.sop_instance_uid for one in instances)
        remark = None if self.answers else "not read back"
        return Receipt(references=references, confirmed=self.answers, remark=remark)

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
        """Forget the instances, where it was told to take them back.

        Raises
        ------
        Refused
            It was told to keep what was stored: ``NO-WITHDRAWAL``.
        IntegrationError
            What it was told to raise.
        """
        if not self.withdraws:
            raise Refused("NO-WITHDRAWAL", f"what was stored stays ({reason})")
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        there = [one for one in instances if one.sop_instance_uid in self.stored]
        for one in there:
            del self.stored[one.sop_instance_uid]
            key = (report.study.study_instance_uid, one.series_instance_uid)
            self._series[key].discard(one.sop_instance_uid)
        remark = None if there else "nothing stood there"
        references = tuple(one.sop_instance_uid for one in there)
        return Receipt(references=references, confirmed=True, remark=remark)


def _asked(told: Mapping[str, str], keywords: Sequence[str]) -> dict[str, str]:
    return {key: told[key] for key in keywords if told.get(key)}


def _of_study(report: Report) -> Mapping[str, str]:
    patient, started = report.study.patient, report.study.started
    return {
        "StudyDate": f"{started:%Y%m%d}" if started else "",
        "PatientID": patient.patient_id,
        "IssuerOfPatientID": patient.issuer_of_patient_id or "",
        "PatientName": patient.patient_name,
        "PatientBirthDate": f"{patient.birth_date:%Y%m%d}" if patient.birth_date else "",
        "PatientSex": patient.sex or "",
        "AccessionNumber": report.study.accession_number or "",
    }


def _of_series(instance: Instance) -> Mapping[str, str]:
    return {"Modality": "SEG" if instance.sop_class_uid == _SEGMENTATION else "SR"}


def _context(instance: Instance) -> tuple[str, str]:
    return instance.sop_class_uid, instance.transfer_syntax_uid


@dataclass(slots=True)
class MemoryReports:
    """A `Destination` that keeps reports, each result set once; a revision takes its predecessor's place.

    Parameters
    ----------
    failures
        Raised instead of taking the next reports, one each; None in it takes one.
    """

    failures: list[IntegrationError | None] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)
    """By result set UID; also those that were withdrawn, which stand there marked."""
    withdrawn: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = {uid: number for number, uid in enumerate(self.reports, start=1)}

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Keep the report of a verified patient, unless its result set is there.

        Raises
        ------
        Refused
            ``PATIENT-NOT-VERIFIED``.
        IntegrationError
            What it was told to raise.
        """
        if report.record_patient is None:
            raise Refused("PATIENT-NOT-VERIFIED", "no patient of the record is the study's")
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        uid = report.result_set_uid
        if uid in self.reports:
            return self._receipt(uid, "it was there already")
        former = next((one for one in self.reports if self._is_former(one, report)), None)
        if former is not None and self.reports[former].issued > report.issued:
            return self._receipt(former, "a newer result stands there")
        self._numbers[uid] = len(self._numbers) + 1
        if former is not None:
            del self.reports[former]
            self._numbers[uid] = self._numbers[former]
        self.reports[uid] = report
        return self._receipt(uid, None)

    def _is_former(self, uid: str, report: Report) -> bool:
        return uid not in self.withdrawn and report_uid(self.reports[uid]) == report_uid(report)

    def _receipt(self, uid: str, remark: str | None) -> Receipt:
        reference = f"DiagnosticReport/{self._numbers[uid]}"
        return Receipt(references=(reference,), confirmed=True, remark=remark)

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
        """Note that a report stands there no more.

        Raises
        ------
        IntegrationError
            What it was told to raise.
        """
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        uid = report.result_set_uid
        if uid not in self.reports:
            return Receipt(references=(), confirmed=True, remark="nothing stood there")
        remark = "it was withdrawn before" if uid in self.withdrawn else None
        self.withdrawn.add(uid)
        references = () if remark else (f"DiagnosticReport/{self._numbers[uid]}",)
        return Receipt(references=references, confirmed=True, remark=remark)


@dataclass(slots=True)
class MemoryRecord:
    """A `Record` whose patients are who the study says they are, unless told otherwise.

    Parameters
    ----------
    patients
        Their features, by (Issuer of Patient ID, Patient ID).
    contradictions
        Reason code (``NAME-DIFFERS``) of each patient who is not the study's, by the same key.
    failure
        Raised instead of every answer; None to answer.
    accessions
        Whose order each accession number is, by the same key; one that is not listed has no order.
    """

    patients: Mapping[tuple[str | None, str], Mapping[str, UsedValue]] = field(default_factory=dict)
    contradictions: Mapping[tuple[str | None, str], str] = field(default_factory=dict)
    failure: IntegrationError | None = None
    accessions: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)

    def context(
        self,
        patient: PatientIdentity,
        features: Sequence[str],
        at: date | datetime,
        *,
        questions: Mapping[str, Question] = NOTHING_ELSE,
        accession_number: str | None = None,
    ) -> RecordContext:
        """Give the features of a known patient.

        Raises
        ------
        NotVerified
            ``NO-PATIENT``, ``ACCESSION-OF-ANOTHER``, or the reason that it was told.
        IntegrationError
            What it was told to raise.
        """
        if self.failure is not None:
            raise self.failure
        key = (patient.issuer_of_patient_id, patient.patient_id)
        if key in self.contradictions:
            raise NotVerified(self.contradictions[key], "the record's patient is not the study's")
        if key not in self.patients:
            raise NotVerified("NO-PATIENT", "no patient has the identifier")
        if self.accessions.get(accession_number or "", key) != key:
            raise NotVerified("ACCESSION-OF-ANOTHER", "the accession number is another patient's")
        known = self.patients[key]
        return RecordContext(
            patient=f"Patient/{list(self.patients).index(key) + 1}",
            patient_version="1",
            values={name: known[name] for name in features if name in known},
            missing={name: "FEATURE-NOT-SUPPORTED" for name in features if name not in known},
        )


@dataclass(slots=True)
class MemoryOrders:
    """An `OrderSource` that knows what it was given, and counts what it was asked.

    Parameters
    ----------
    known
        Its orders.
    failures
        Raised instead of answering the next questions, one each.
    """

    known: list[Order] = field(default_factory=list)
    failures: list[IntegrationError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def orders(self, accession_number: str) -> list[Order]:
        """Every order with an accession number.

        Raises
        ------
        IntegrationError
            What it was given to fail with.
        """
        self.asked.append(accession_number)
        if self.failures:
            raise self.failures.pop(0)
        return [one for one in self.known if one.accession_number == accession_number]

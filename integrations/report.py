"""What is brought to someone: a result in plain values, with the identity it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Coding:
    """A coded concept with the designator of DICOM (``SCT``, ``DCM``, ``LN``, ``UCUM``)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentity:
    """Who the source says the patient is, value for value (PS3.3 C.7.1.1).

    Parameters
    ----------
    patient_id, issuer_of_patient_id
        Patient ID (0010,0020) and Issuer of Patient ID (0010,0021), the latter completed with the
        peer's default; None when neither names one.
    patient_name
        Patient's Name (0010,0010), all component groups as received and decoded.
    birth_date, sex
        (0010,0030) and (0010,0040) ``M``, ``F``, ``O``; None when absent or malformed.
    """

    patient_id: str
    issuer_of_patient_id: str | None
    patient_name: str
    birth_date: date | None
    sex: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyIdentity:
    """The study that a report speaks of.

    Parameters
    ----------
    started
        Study date and time; a date alone where no time zone is known, because a FHIR time needs one.
    """

    study_instance_uid: str
    patient: PatientIdentity
    accession_number: str | None
    started: date | datetime | None
    description: str | None
    modalities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOrder:
    """The order that the study was made by.

    Parameters
    ----------
    placer_order_number, filler_order_number
        ORC-2 and ORC-3 as the orders' source wrote them; empty when it did not.
    reason
        Why it was ordered, in words that may speak of the patient; empty when not told.
    """

    placer_order_number: str
    filler_order_number: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSeries:
    """One series of the study: of the source, or of our results."""

    series_instance_uid: str
    modality: str
    description: str | None
    sop_classes: Mapping[str, str]
    """SOP Class UID of each instance, by SOP Instance UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The model that answered (IHE RAD AIR 6.5.3.1)."""

    name: str
    version: str
    manufacturer: str
    device_uid: str
    content_qualification: str
    weights_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A measured number.

    Parameters
    ----------
    value
        Text with the digits that were meant (``"1502.3"``).
    unit
        UCUM unit; ``1`` for a number without one.
    derivation
        How it follows from many values (CID 7464: mean, maximum); None when it is the value itself.
    method
        How it was measured (CID 7473); None when there is nothing to say.
    """

    concept: Coding
    value: str
    unit: Coding
    derivation: Coding | None = None
    method: Coding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model gave for a finding, and what that was held against.

    Parameters
    ----------
    concept
        What the score is: a private code (scheme ``99…``), unless it is a calibrated probability.
    value, threshold
        Text with the digits that were meant; from the threshold on the finding is present.
    calibrated
        Whether it is a probability that was held against outcomes: only then may it be read as a confidence.
    """

    concept: Coding
    value: str
    threshold: str
    calibrated: bool

    @property
    def unit(self) -> Coding:
        """UCUM unit of score and threshold, the one that the structured report gives them."""
        if self.calibrated:
            return Coding("{0:1}", "UCUM", "range: 0:1")
        return Coding("1", "UCUM", "no units")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFinding:
    """One thing the model looked for: present with its values, or explicitly absent.

    Parameters
    ----------
    tracking_uid
        The same through all revisions where the model looked for one such thing; a place has its own.
    site, laterality
        Where it lies, and on which side (CID 244); None when the type says it.
    present
        None: the model could not decide.
    score
        What the model gave for it; None where it gives a mask or a number.
    """

    tracking_uid: str
    label: str
    type: Coding
    site: Coding | None
    present: bool | None
    quantities: tuple[Quantity, ...]
    laterality: Coding | None = None
    score: Score | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is a number of the whole series and nothing besides: then its presence says nothing."""
        return (
            len(self.quantities) == 1
            and self.score is None
            and self.quantities[0].concept == self.type
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedValue:
    """A value of the patient's record that the model was given.

    Parameters
    ----------
    feature
        The name by which a model asks for it.
    concept
        What it is.
    value
        With a unit, a number as text. Without one, a code value of the concept's context group: for
        Subject Sex (121032, DCM) of CID 7455, scheme DCM, ``M``, ``F`` or ``121102`` (Other sex).
    unit
        UCUM unit of a number; None for a coded value.
    source
        Where it was read: ``Patient/123/_history/4``, or words that are no reference.
    effective
        The moment for which it holds, ISO 8601; None when the source does not say.
    coded
        A coded value with its scheme, where that is not the one of the concept's context group.
    """

    feature: str
    concept: Coding
    value: str
    unit: Coding | None
    source: str
    effective: str | None
    coded: Coding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One DICOM object as it was created: the bytes that every delivery sends unchanged."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A result set in plain values.

    Parameters
    ----------
    result_set_uid
        Identity of the result set: every write derived from it is idempotent under this UID.
    study, source_series, result_series
        What was read and what was made.
    model
        Who answered.
    procedure
        The imaging procedure that was read.
    findings
        In the order of the model's card.
    context
        What the model was given of the record.
    record_patient
        Logical reference of the verified patient in the EHR (``Patient/123``); None when there was no
        verified match, and then nothing goes to an EHR.
    issued
        When the result was made, with offset.
    conclusion
        One sentence for people, without patient data.
    predecessors
        Result set UIDs of the results that it takes the place of; empty for a first result.
    page
        The result on one page, a PDF that names no patient; None where none was made.
    order
        The order behind the study; None when none is known.
    known_as
        The patient under the number that his was merged into since; None where it is the study's.
    """

    result_set_uid: str
    study: StudyIdentity
    source_series: tuple[ReportedSeries, ...]
    result_series: tuple[ReportedSeries, ...]
    model: Model
    procedure: Coding
    findings: tuple[ReportedFinding, ...]
    context: tuple[UsedValue, ...] = ()
    record_patient: str | None = None
    issued: datetime
    conclusion: str
    predecessors: tuple[str, ...] = ()
    page: Path | None = None
    order: ReportedOrder | None = None
    known_as: PatientIdentity | None = None

"""The only place, `reported` beside it, that knows the libraries' types on both sides, and ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from inference.card import Card
from inference.codes import Code
from inference.context import Context, ContextValue
from inference.errors import SeriesUnusable
from inference.findings import Result
from inference.instance import Headers
from inference.results.objects import ResultObject, ResultObjects
from integrations.context import Question, RecordContext
from integrations.report import (
    Coding,
    Model,
    PatientIdentity,
    Report,
    ReportedOrder,
    ReportedSeries,
    StudyIdentity,
    UsedValue,
)
from node.core.job import Claim
from node.pipeline.reported import coding, conclusion, reported

PATIENT_KEYWORDS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
)
"""Whose images they are (PS3.3 C.7.1.1)."""

FURTHEST_OFFSET = timedelta(hours=14)
"""Timezone Offset From UTC (0008,0201) lies between -1200 and +1400 (PS3.3 C.12.1.1.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the configuration knows of the peer that sent a study.

    Parameters
    ----------
    default_issuer
        Issuer of Patient ID where the peer's objects name none.
    time_zone
        IANA time zone of its times without offset; None: then only dates are told.
    """

    default_issuer: str | None
    time_zone: str | None


def patient_identity(values: Mapping[str, Any], source: Source) -> PatientIdentity:
    """Read who the patient is from the attributes as received (PS3.3 C.7.1.1)."""
    sex = _text(values.get("PatientSex")).upper()
    return PatientIdentity(
        patient_id=_text(values.get("PatientID")),
        issuer_of_patient_id=_text(values.get("IssuerOfPatientID")) or source.default_issuer,
        patient_name=_text(values.get("PatientName")),
        birth_date=_date(values.get("PatientBirthDate")),
        sex=sex if sex in {"M", "F", "O"} else None,
    )


def accession_number(values: Mapping[str, Any]) -> str | None:
    """Read the Accession Number (0008,0050); None when there is none."""
    return _text(values.get("AccessionNumber")) or None


def require_identity(identity: Mapping[str, Any], headers: Headers) -> None:
    """Compare the patient whose record is read and written with the one whose images are analysed.

    Parameters
    ----------
    identity
        The identifying attributes by keyword under which the series was received.
    headers
        Of its instances, as they lie on the disk.

    Raises
    ------
    SeriesUnusable
        They differ (``IDENTITY-DIFFERS``): nobody can say whose result it would be.
    """
    differing = {
        keyword
        for header in headers
        for keyword in PATIENT_KEYWORDS
        if _text(header.get(keyword)) != _text(identity.get(keyword))
    }
    if differing:
        detail = f"instances of the series differ in {', '.join(sorted(differing))}"
        raise SeriesUnusable("IDENTITY-DIFFERS", detail)


def started(values: Mapping[str, Any], source: Source) -> date | datetime | None:
    """Return when the study began: a moment when its offset is known, else a date (PS3.3 C.7.2.1)."""
    day = _date(values.get("StudyDate"))
    clock = _time(values.get("StudyTime"))
    zone = _offset(values.get("TimezoneOffsetFromUTC")) or (
        ZoneInfo(source.time_zone) if source.time_zone else None
    )
    if day is None or clock is None or zone is None:
        return day
    return datetime.combine(day, clock, tzinfo=zone)


def questions(card: Card) -> dict[str, Question]:
    """Return what the features that a card describes mean, by their names."""
    return {
        one.name: Question(
            concept=coding(one.concept),
            resource=one.resource,
            codes=one.codes,
            panels=one.panels,
            element=one.element,
            unit=one.unit,
            molar_mass_g_mol=one.molar_mass_g_mol,
            maximum_age_days=one.maximum_age_days,
        )
        for one in card.features
    }


def context_as_record(context: RecordContext) -> dict[str, Any]:
    """Return what the record said, in plain values for the job."""
    return {
        "patient": context.patient,
        "patient_version": context.patient_version,
        "values": {
            name: {
                "concept": _triple(value.concept),
                "value": value.value,
                "unit": _triple(value.unit) if value.unit else None,
                "source": value.source,
                "effective": value.effective,
                "coded": _triple(value.coded) if value.coded else None,
            }
            for name, value in context.values.items()
        },
        "missing": dict(context.missing),
        "withheld": context.withheld,
    }


def context_for_model(record: Mapping[str, Any], wanted: Sequence[str]) -> Context:
    """Return what a model is told, from what `context_as_record` wrote.

    A feature without a value is missing with the reason; when the patient could not be matched that is the
    reason for all of them.
    """
    values: Mapping[str, Any] = record.get("values", {})
    known = {name: _context_value(values[name]) for name in wanted if name in values}
    why = record.get("refused") or "NOT-KNOWN"
    missing = {
        name: record.get("missing", {}).get(name, why) for name in wanted if name not in known
    }
    return Context(values=known, missing=missing)


def report(
    claim: Claim, result: Result, objects: ResultObjects, source: Source, issued: datetime
) -> Report:
    """Return a result as it is told to destinations, in plain values."""
    return replace(
        outline(claim, result.series.headers, result.card, objects, source, issued),
        findings=reported(result),
        context=tuple(_used(name, value) for name, value in result.context.values.items()),
        conclusion=conclusion(result),
        predecessors=tuple(one.sop_instance_uid for one in claim.earlier),
    )


def outline(
    claim: Claim,
    headers: Headers,
    card: Card,
    objects: Sequence[ResultObject],
    source: Source,
    issued: datetime,
) -> Report:
    """Return what is told of any answer: whose, of what, by which model and in which objects; nothing found.

    Parameters
    ----------
    headers
        Of the instances that were asked about, at least one.
    objects
        The last one names the answer.
    """
    head = headers[0]
    return Report(
        result_set_uid=objects[-1].sop_instance_uid,
        study=StudyIdentity(
            study_instance_uid=claim.study_instance_uid,
            patient=patient_identity(claim.identity, source),
            accession_number=accession_number(claim.identity),
            started=started(claim.identity, source),
            description=_text(claim.identity.get("StudyDescription")) or None,
            modalities=(str(head.Modality),),
        ),
        source_series=(
            ReportedSeries(
                series_instance_uid=claim.series_instance_uid,
                modality=str(head.Modality),
                description=str(head.get("SeriesDescription", "")) or None,
                sop_classes={
                    str(header.SOPInstanceUID): str(header.SOPClassUID) for header in headers
                },
            ),
        ),
        result_series=tuple(
            ReportedSeries(
                series_instance_uid=item.series_instance_uid,
                modality=str(item.dataset.Modality),
                description=str(item.dataset.SeriesDescription),
                sop_classes={item.sop_instance_uid: item.sop_class_uid},
            )
            for item in objects
        ),
        model=Model(
            name=card.name,
            version=card.version,
            manufacturer=card.manufacturer,
            device_uid=card.device_uid,
            content_qualification=card.content_qualification,
            weights_digest=card.weights_digest,
        ),
        procedure=coding(card.procedure_reported),
        findings=(),
        record_patient=claim.context.get("patient"),
        issued=issued,
        conclusion="",
        order=_order(claim.order),
    )


def _order(said: Mapping[str, str]) -> ReportedOrder | None:
    if not said:
        return None
    return ReportedOrder(
        placer_order_number=said["placer_order_number"],
        filler_order_number=said["filler_order_number"],
        reason=said["reason"],
    )


def _used(name: str, value: ContextValue) -> UsedValue:
    coded = isinstance(value.value, Code)
    return UsedValue(
        feature=name,
        concept=coding(value.concept),
        value=value.value.value if isinstance(value.value, Code) else _digits(value.value),
        unit=None if coded or value.unit is None else coding(value.unit),
        source=value.source,
        effective=value.effective,
        coded=coding(value.value) if isinstance(value.value, Code) else None,
    )


def _digits(value: float) -> str:
    """Write a number in as few digits as tell it, without an exponent."""
    return format(Decimal(repr(value)).normalize(), "f")


def _context_value(record: Mapping[str, Any]) -> ContextValue:
    concept, unit = Code(*record["concept"]), record["unit"]
    value: float | Code
    if unit:
        value = float(record["value"])
    elif record.get("coded"):
        value = Code(*record["coded"])
    else:  # coded values of the record are DICOM's own (CID 7455: M, F)
        value = Code(record["value"], "DCM", _SEX_MEANINGS.get(record["value"], record["value"]))
    return ContextValue(
        concept=concept,
        value=value,
        unit=Code(*unit) if unit else None,
        source=record["source"],
        effective=record["effective"],
    )


_SEX_MEANINGS = {"M": "Male", "F": "Female", "U": "Unknown sex", "MP": "Male Pseudohermaphrodite"}


def _triple(code: Coding) -> list[str]:
    return [code.value, code.scheme, code.meaning]


def _text(value: object) -> str:
    """Return an attribute as it was written, several values with their backslashes."""
    match value:
        case None:
            return ""
        case str():
            return value.strip(" \0")
        case Sequence():
            return "\\".join(str(item).strip(" \0") for item in value)
        case _:
            return str(value).strip(" \0")


def _date(value: object) -> date | None:
    try:
        return datetime.strptime(str(value or "")[:8], "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def _time(value: object) -> time | None:
    digits = str(value or "").split(".")[0]
    if len(digits) not in {2, 4, 6}:  # HH, HHMM, HHMMSS (PS3.5 6.2, VR TM)
        return None
    try:
        return datetime.strptime(digits.ljust(6, "0"), "%H%M%S").time()  # noqa: DTZ007
    except ValueError:
        return None


def _offset(value: object) -> tzinfo | None:
    text = str(value or "")
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdecimal() or not text.isascii():
        return None
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    if size > FURTHEST_OFFSET:
        return None
    return timezone(-size if text[0] == "-" else size)

"""A report as an unsolicited result, ORU^R01 of HL7 version 2.5.1 (chapter 7.3.1), and its withdrawal.

The same report gives the same bytes at every call: whoever gets a message again knows it by its control id,
and by its content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from integrations.errors import Refused
from integrations.hl7.fields import coded, composite, escaped, segment, time_stamp, token
from integrations.hl7.observations import observation_segments
from integrations.lineage import report_uid
from integrations.report import PatientIdentity, Report

_NOTE = "Found by artificial intelligence; no person has reviewed it yet."
_WITHDRAWN = "Withdrawn: this result is wrong or is another patient's. Do not use it."


class Purpose(StrEnum):
    """What a message is for; a result set has one message for each."""

    RESULT = "result"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What a site wants to stand in every message.

    Parameters
    ----------
    application, facility
        Who we are (MSH-3, MSH-4).
    receiving_application, receiving_facility
        Who gets it (MSH-5, MSH-6).
    processing_id
        MSH-11 (HL7 table 0103).
    assigning_authorities
        Assigning authority (PID-3.4, ``NAMESPACE`` or ``NAMESPACE&OID&ISO``) of each Issuer of Patient ID;
        one that is not listed is its own: the two are one namespace (PS3.3 C.7.1.1).
    accession_number
        Whether the accession number is told (OBR-18).
    placer_order_number
        Whether the order's number is told as its placer wrote it (OBR-2).
    withdrawn
        OBX-11 of a withdrawal (HL7 table 0085): ``W`` was sent wrongly, ``D`` is to be deleted.
    """

    application: str = "OVERREAD"
    facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: Literal["P", "T", "D"] = "P"
    assigning_authorities: Mapping[str, str] = field(default_factory=dict)
    accession_number: bool = True
    placer_order_number: bool = False
    withdrawn: Literal["W", "D"] = "W"


def result(report: Report, letterhead: Letterhead) -> bytes:
    """Write a report, or its revision: preliminary, because no person has signed it.

    Raises
    ------
    Refused
        ``NO-PATIENT-ID`` or ``NO-ASSIGNING-AUTHORITY``: nobody could tell whose it is.
    """
    filler = _filler(report, letterhead)
    ordered = _ordered(report, letterhead)
    return _encoded([
        _header(report, letterhead, Purpose.RESULT, report.issued),
        _patient(report.known_as or report.study.patient, letterhead),
        segment("ORC", {1: "RE", 3: filler}),
        segment("OBR", {**_request(report, filler, "P", report.issued), **ordered}),
        segment("NTE", {1: "1", 3: escaped(_NOTE)}),
        *observation_segments(report, "P"),
    ])


def _ordered(report: Report, letterhead: Letterhead) -> dict[int, str]:
    """Return the fields of OBR by which a receiver finds the order that a report answers."""
    accession = report.study.accession_number if letterhead.accession_number else None
    placer = report.order.placer_order_number if report.order is not None else None
    told = {18: accession, 2: placer if letterhead.placer_order_number else None}
    return {number: escaped(value) for number, value in told.items() if value}


def withdrawal(report: Report, letterhead: Letterhead, at: datetime) -> bytes:
    """Write that a report does not hold: all that it said, each marked as wrong or as deleted.

    It tells no accession number: OBR-25 ``X`` must cancel our report, and no order of anybody else.

    Parameters
    ----------
    at
        Since when it does not hold, with offset.

    Raises
    ------
    Refused
        ``NO-PATIENT-ID`` or ``NO-ASSIGNING-AUTHORITY``: nobody could tell whose it was.
    """
    filler = _filler(report, letterhead)
    return _encoded([
        _header(report, letterhead, Purpose.WITHDRAWAL, at),
        _patient(report.known_as or report.study.patient, letterhead),
        segment("ORC", {1: "RE", 3: filler}),
        segment("OBR", _request(report, filler, "X", at)),
        segment("NTE", {1: "1", 3: escaped(_WITHDRAWN)}),
        *observation_segments(report, letterhead.withdrawn),
    ])


def control_id(report: Report, purpose: Purpose) -> str:
    """Return MSH-10: the same whenever the same is sent, and never for anything else."""
    return token(report.result_set_uid, purpose)


def filler_number(report: Report) -> str:
    """Return OBR-3.1: the same through all revisions.

    A report whose study turned out to be another patient's goes on under another number: a receiver does not
    move one from patient to patient.
    """
    patient = report.study.patient
    return token(report_uid(report), patient.issuer_of_patient_id or "", patient.patient_id)


def _filler(report: Report, letterhead: Letterhead) -> str:
    return composite(filler_number(report), letterhead.application)


def _header(report: Report, letterhead: Letterhead, purpose: Purpose, at: datetime) -> str:
    fields = {
        3: composite(letterhead.application),
        4: composite(letterhead.facility),
        5: composite(letterhead.receiving_application),
        6: composite(letterhead.receiving_facility),
        7: time_stamp(at),
        9: composite("ORU", "R01", "ORU_R01"),
        10: control_id(report, purpose),
        11: letterhead.processing_id,
        12: "2.5.1",
        18: "UNICODE UTF-8",
    }
    # the separator behind the name is MSH-1 itself
    return segment("MSH|^~\\&", {number - 2: value for number, value in fields.items()})


def _patient(patient: PatientIdentity, letterhead: Letterhead) -> str:
    if not patient.patient_id:
        raise Refused("NO-PATIENT-ID", "the study names no patient")
    issuer = patient.issuer_of_patient_id
    if not issuer:
        raise Refused("NO-ASSIGNING-AUTHORITY", "nobody says who assigned the Patient ID")
    named = letterhead.assigning_authorities.get(issuer)
    authority = escaped(issuer) if named is None else "&".join(map(escaped, named.split("&")))
    return segment(
        "PID",
        {
            1: "1",
            3: f"{escaped(patient.patient_id)}^^^{authority}^MR",
            5: _names(patient.patient_name),
            7: time_stamp(patient.birth_date),
            8: patient.sex or "",
        },
    )


def _names(written: str) -> str:
    """Write the component groups of a name (PS3.5 6.2, VR PN) as repetitions (XPN), alphabetic first."""
    groups = zip(written.split("="), ("A", "I", "P"), strict=False)
    names = [_name(group, representation) for group, representation in groups if group.strip("^ ")]
    return "~".join(names) or composite("", "", "", "", "", "", "U")


def _name(group: str, representation: str) -> str:
    # a person name of DICOM has its prefix before its suffix, XPN has them the other way round
    family, given, middle, prefix, suffix = [*group.split("^"), *[""] * 5][:5]
    return composite(family, given, middle, suffix, prefix, "", "L", representation)


def _request(report: Report, filler: str, status: str, at: datetime) -> Mapping[int, str]:
    return {
        1: "1",
        3: filler,
        4: coded(report.procedure),
        7: time_stamp(report.study.started),
        22: time_stamp(at),
        24: "RAD",
        25: status,
    }


def _encoded(segments: list[str]) -> bytes:
    return "".join(f"{one}\r" for one in segments).encode("utf-8")

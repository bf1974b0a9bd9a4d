"""Whose study it is, in columns: so that studies are found by a patient's number or an accession number."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from node.core.orders import Patient
from node.core.study import Received
from node.store import schema

SUBJECT = schema.study_subject
NEW_SUBJECT = insert(SUBJECT)


def subject_of(received: Received) -> dict[str, Any]:
    """Return the row of a study that begins with an instance."""
    header = received.header
    return {
        "study_instance_uid": header.study_instance_uid,
        "peer": received.peer,
        **_columns(header.identity),
    }


def change_subject(connection: Connection, received: Received) -> None:
    """Let a study be another patient's, or of another order: its order is looked for again."""
    of = SUBJECT.c.study_instance_uid == received.header.study_instance_uid
    now = _columns(received.header.identity)
    row = connection.execute(select(SUBJECT).where(of)).one()
    if all(getattr(row, key) == value for key, value in now.items()):
        return
    connection.execute(update(SUBJECT).where(of).values(**now, matched_at=None))
    for table in (schema.study_order, schema.order_question):
        connection.execute(
            delete(table).where(table.c.study_instance_uid == row.study_instance_uid)
        )


def patient_of(row: Row[Any], issuers: Mapping[str, str]) -> Patient:
    """Return the patient of a study.

    Parameters
    ----------
    row
        Of `study_subject`.
    issuers
        Default issuer of Patient ID of the sources, by name.
    """
    return Patient(patient_id=row.patient_id, issuer=row.issuer or issuers.get(row.peer, ""))


def with_identity() -> Select[Any]:
    """Ask for studies with their identity."""
    study = schema.study
    return select(SUBJECT, study.c.identity).join(
        study, study.c.study_instance_uid == SUBJECT.c.study_instance_uid
    )


def _columns(identity: Mapping[str, Any]) -> dict[str, str]:
    return {
        "patient_id": _text(identity, "PatientID", 64),
        "issuer": _text(identity, "IssuerOfPatientID", 64),
        "accession_number": _text(identity, "AccessionNumber", 16),
    }


def _text(identity: Mapping[str, Any], keyword: str, longest: int) -> str:
    value = identity.get(keyword)
    return value.strip()[:longest] if isinstance(value, str) else ""

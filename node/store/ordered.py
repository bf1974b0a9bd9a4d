"""The order that a study was made by, whichever of the two came first, and what it is worth to its jobs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.job import JobState
from node.core.orders import Ordered, Patient, worth
from node.store import schema
from node.store.events import tell
from node.store.merges import known_as
from node.store.subjects import SUBJECT, patient_of, with_identity

ORDER, LINK, JOB = schema.imaging_order, schema.study_order, schema.job
LONGEST_REASON = 1024


def keep_order(
    connection: Connection, now: float, peer: str, order: Ordered, issuers: Mapping[str, str]
) -> None:
    """Keep an order as it is told now, in the caller's transaction, and find the studies that it led to."""
    values = {
        "peer": peer,
        "accession_number": order.accession_number[:255],
        "patient": [[one.patient_id, one.issuer] for one in order.patient],
        "placer_order_number": order.placer_order_number[:255],
        "filler_order_number": order.filler_order_number[:255],
        "urgency": order.urgency,
        "reason": order.reason[:LONGEST_REASON],
        "active": int(order.active),
        "at": now,
    }
    connection.execute(
        upsert(ORDER)
        .values(order_id=order.key(peer), **values)
        .on_conflict_do_update(index_elements=[ORDER.c.order_id], set_=values)
    )
    studies = connection.execute(
        with_identity().where(SUBJECT.c.accession_number == order.accession_number)
    ).all()
    for study in studies:
        match(connection, now, study, issuers)


def match(connection: Connection, now: float, study: Row[Any], issuers: Mapping[str, str]) -> bool:
    """Give a study the most urgent order of its accession number and its patient; whether there is one.

    An order of the same accession number and another patient is nobody's: the study's story says so.

    Parameters
    ----------
    study
        Its row of `study_subject`, with the study's identity.
    """
    uid = study.study_instance_uid
    rows = connection.execute(
        select(ORDER).where(ORDER.c.accession_number == study.accession_number)
    ).all()
    its = [row for row in rows if _is_of(connection, row, study, issuers)]
    best = max(its, key=lambda row: (row.active, worth(row.urgency), row.at), default=None)
    if rows and best is None:
        detail = "ORDER-PATIENT: an order has the study's accession number, and another patient"
        tell(connection, now, uid, "order not matched", detail)
    connection.execute(
        update(SUBJECT).where(SUBJECT.c.study_instance_uid == uid).values(matched_at=now)
    )
    if best is None:
        connection.execute(delete(LINK).where(LINK.c.study_instance_uid == uid))
        return False
    connection.execute(
        upsert(LINK)
        .values(study_instance_uid=uid, order_id=best.order_id)
        .on_conflict_do_update(
            index_elements=[LINK.c.study_instance_uid], set_={"order_id": best.order_id}
        )
    )
    said = f"{best.urgency} by {best.peer}" if best.active else f"canceled by {best.peer}"
    tell(connection, now, uid, "order", said)
    if best.active:
        _raise(connection, uid, worth(best.urgency))
    return True


def worth_of(connection: Connection, study_instance_uid: str) -> int:
    """Return what the order of a study is worth to a job that begins now; 0 without one."""
    row = _order(connection, study_instance_uid)
    return worth(row.urgency) if row is not None and row.active else 0


def order_of(connection: Connection, study_instance_uid: str) -> dict[str, str]:
    """Return what the order of a study says, for its reports; empty without one."""
    row = _order(connection, study_instance_uid)
    if row is None:
        return {}
    names = ("placer_order_number", "filler_order_number", "urgency", "reason")
    return {name: getattr(row, name) for name in names}


def _order(connection: Connection, study_instance_uid: str) -> Row[Any] | None:
    return connection.execute(
        select(ORDER)
        .join(LINK, LINK.c.order_id == ORDER.c.order_id)
        .where(LINK.c.study_instance_uid == study_instance_uid)
    ).one_or_none()


def _is_of(
    connection: Connection, order: Row[Any], study: Row[Any], issuers: Mapping[str, str]
) -> bool:
    """Whether an order is of a study's patient, by one of his numbers or by one that became one of his."""
    patient = patient_of(study, issuers)
    now = known_as(connection, patient, study.identity)
    numbers = [Patient(patient_id=number, issuer=issuer) for number, issuer in order.patient]
    return any(
        number.may_be(patient) or known_as(connection, number, study.identity) == now
        for number in numbers
    )


def _raise(connection: Connection, study_instance_uid: str, to: int) -> None:
    """Make the waiting jobs of a study as urgent as its order; an order never makes one less urgent."""
    connection.execute(
        update(JOB)
        .where(
            JOB.c.study_instance_uid == study_instance_uid,
            JOB.c.state == JobState.SCHEDULED,
            JOB.c.priority < to,
        )
        .values(priority=to)
    )

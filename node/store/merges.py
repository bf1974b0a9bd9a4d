"""Numbers of patients that have become one: what an ADT feed said, followed to its end."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from node.core.orders import Demographics, Merged, Patient, Updated
from node.errors import MergeRefused
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.subjects import SUBJECT, patient_of, with_identity

MERGE = schema.patient_merge


class MergeStore:
    """Tells, before a result leaves, under which number its patient is known now.

    Parameters
    ----------
    database
        Where merges are kept.
    issuers
        Default issuer of Patient ID of the sources, by name.
    """

    def __init__(self, database: Database, issuers: Mapping[str, str]) -> None:
        self._database = database
        self._issuers = dict(issuers)

    def survivor(self, patient: Patient) -> Patient:
        """Return the number that is used instead of a number; itself when it was not merged."""
        with self._database.reading() as (connection, _):
            return survivor(connection, patient)

    def merged_to(self, study_instance_uid: str) -> Patient | None:
        """Return the number under which a study's patient is known now; None when it is that of the study.

        None also when a merge on the way there contradicts the study's birth date or sex: then the numbers
        were perhaps confused, and nobody may conclude anything from them.
        """
        with self._database.reading() as (connection, _):
            row = connection.execute(
                with_identity().where(SUBJECT.c.study_instance_uid == study_instance_uid)
            ).one_or_none()
            if row is None:
                return None
            patient = patient_of(row, self._issuers)
            now = known_as(connection, patient, row.identity)
            return None if now == patient else now

    def questioned_at(self, study_instance_uid: str) -> float | None:
        """Return when a feed said last that a study's patient has another number or other data, if ever."""
        of = SUBJECT.c.study_instance_uid == study_instance_uid
        with self._database.reading() as (connection, _):
            found = connection.execute(select(SUBJECT.c.questioned_at).where(of)).scalar()
            return None if found is None else float(found)


def survivor(connection: Connection, patient: Patient) -> Patient:
    """Return the number at the end of a number's merges."""
    for merge in _chain(connection, patient):
        patient = merge.surviving
    return patient


def known_as(connection: Connection, patient: Patient, identity: Mapping[str, Any]) -> Patient:
    """Return the number at the end of a number's merges, for a study that says who its patient is.

    The number itself when one of the merges is of somebody else: born on another day, or of the other sex.
    """
    now = patient
    for one in _chain(connection, patient):
        if one.who.contradicted(identity):
            return patient
        now = one.surviving
    return now


def merge(
    connection: Connection, now: float, peer: str, merged: Merged, issuers: Mapping[str, str]
) -> None:
    """Let one number give way to another, in the caller's transaction; a merge that is known changes nothing.

    Raises
    ------
    MergeRefused
        The surviving number itself gave way to the prior one (``MERGE-LOOP``), or the prior one to a third
        (``MERGE-CONFLICT``).
    """
    prior, end = merged.prior, survivor(connection, merged.surviving)
    if end == prior:
        detail = "the surviving number was merged into the prior one before"
        raise MergeRefused("MERGE-LOOP", detail)
    known = survivor(connection, prior)
    if known == end:
        return
    if known != prior:
        detail = "the prior number was merged into another one before"
        raise MergeRefused("MERGE-CONFLICT", detail)
    connection.execute(
        insert(MERGE).values(
            at=now,
            peer=peer,
            prior_id=prior.patient_id,
            prior_issuer=prior.issuer,
            surviving_id=merged.surviving.patient_id,
            surviving_issuer=merged.surviving.issuer,
            birth_date=merged.who.birth_date,
            sex=merged.who.sex,
        )
    )
    for number in [prior, *_forerunners(connection, prior)]:
        _question(connection, now, number, merged.who, (f"by {peer}", issuers), merged=True)


def correct_patient(
    connection: Connection, now: float, peer: str, updated: Updated, issuers: Mapping[str, str]
) -> None:
    """Note, in the caller's transaction, which studies say something else of their patient than he is now."""
    for patient in updated.patient:
        for number in [patient, *_forerunners(connection, patient)]:
            _question(connection, now, number, updated.who, (f"by {peer}", issuers), merged=False)


def _question(
    connection: Connection,
    now: float,
    patient: Patient,
    who: Demographics,
    of: tuple[str, Mapping[str, str]],
    *,
    merged: bool,
) -> None:
    """Tell the studies of a number; `of` is who says so, and the sources' issuers."""
    by, issuers = of
    rows = connection.execute(
        with_identity().where(SUBJECT.c.patient_id == patient.patient_id)
    ).all()
    for row in rows:
        differing = ", ".join(who.contradicted(row.identity))
        if patient_of(row, issuers) != patient or not (merged or differing):
            continue
        if merged:
            what = "patient merged"
            detail = f"{by}; the study says otherwise of {differing}" if differing else by
        else:
            what, detail = "patient corrected", f"{by}: {differing}"
        tell(connection, now, row.study_instance_uid, what, detail)
        connection.execute(
            update(SUBJECT)
            .where(SUBJECT.c.study_instance_uid == row.study_instance_uid)
            .values(questioned_at=now, matched_at=None)
        )


def _chain(connection: Connection, patient: Patient) -> Iterator[Merged]:
    """Give the merges from a number on; they have an end, because `merge` lets none close a ring."""
    while True:
        row = connection.execute(
            select(MERGE).where(
                MERGE.c.prior_id == patient.patient_id, MERGE.c.prior_issuer == patient.issuer
            )
        ).one_or_none()
        if row is None:
            return
        following = Patient(patient_id=row.surviving_id, issuer=row.surviving_issuer)
        who = Demographics(birth_date=row.birth_date, sex=row.sex)
        yield Merged(prior=patient, surviving=following, who=who)
        patient = following


def _forerunners(connection: Connection, patient: Patient) -> list[Patient]:
    """Return every number that gave way to this one, at once or by others."""
    found: list[Patient] = []
    ends = [patient]
    while ends:
        into = [
            (MERGE.c.surviving_id == one.patient_id) & (MERGE.c.surviving_issuer == one.issuer)
            for one in ends
        ]
        rows = connection.execute(select(MERGE).where(or_(*into))).all()
        ends = [Patient(patient_id=row.prior_id, issuer=row.prior_issuer) for row in rows]
        found += ends
    return found

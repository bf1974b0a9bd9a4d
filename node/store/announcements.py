"""What peers say that they have made: performed procedure steps, and lists of instances."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, or_, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.announcement import Announced, Announcement, Kind, StepAnswer, StepChange, StepState
from node.core.study import SeriesState
from node.store import schema
from node.store.database import Database
from node.store.events import tell

STEP = schema.procedure_step


class AnnouncementStore:
    """The lists, for the decision on completeness.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def announce(self, announcement: Announcement) -> None:
        """Note what a peer lists; a list that came before changes nothing.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            note(connection, now, announcement)

    def begin_step(self, change: StepChange) -> StepAnswer:
        """Note a Modality Performed Procedure Step (N-CREATE): TAKEN or DUPLICATE.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            known = connection.execute(
                select(STEP.c.peer).where(STEP.c.sop_instance_uid == change.sop_instance_uid)
            ).first()
            if known is not None:
                return StepAnswer.DUPLICATE
            connection.execute(
                insert(STEP).values(
                    sop_instance_uid=change.sop_instance_uid,
                    peer=change.peer,
                    state=StepState.IN_PROGRESS,
                    study_instance_uid=change.study_instance_uid,
                    performed=change.performed or (),
                    begun_at=now,
                )
            )
        return StepAnswer.TAKEN

    def change_step(self, change: StepChange) -> StepAnswer:
        """Note what an N-SET says; a step that becomes COMPLETED announces its instances.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        key = STEP.c.sop_instance_uid == change.sop_instance_uid
        with self._database.transaction() as (connection, now):
            step = connection.execute(select(STEP).where(key)).first()
            if step is None or step.peer != change.peer:
                return StepAnswer.UNKNOWN
            if step.state != StepState.IN_PROGRESS:
                return StepAnswer.OVER
            state = change.state or StepState.IN_PROGRESS
            performed = step.performed if change.performed is None else change.performed
            ended_at = None if state is StepState.IN_PROGRESS else now
            connection.execute(
                update(STEP).where(key).values(state=state, performed=performed, ended_at=ended_at)
            )
            if state is StepState.COMPLETED:
                note(connection, now, _completed(change.peer, step.study_instance_uid, performed))
        return StepAnswer.TAKEN

    def prune(self, keep_s: float) -> int:
        """Forget lists and ended steps that are older; return how many lines went.

        A list of a series that waits to be complete, or to be dispatched, stays, and with one of its lines the
        whole of a request for commitment: it speaks only for series that hold all it names.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        told, series, held = schema.announcement, schema.series, schema.instance
        waiting = or_(series.c.state == SeriesState.OPEN, series.c.dispatched_at.is_(None))
        unsettled = select(series.c.series_instance_uid).where(waiting)
        mine = told.alias()
        needed = (
            select(mine.c.peer, mine.c.at)
            .join(held, held.c.sop_instance_uid == mine.c.sop_instance_uid)
            .where(held.c.series_instance_uid.in_(unsettled))
        )
        with self._database.transaction() as (connection, now):
            gone = connection.execute(
                delete(told).where(
                    told.c.at < now - keep_s,
                    or_(
                        told.c.series_instance_uid.is_(None),
                        told.c.series_instance_uid.not_in(unsettled),
                    ),
                    tuple_(told.c.peer, told.c.at).not_in(needed),
                )
            ).rowcount
            ended = connection.execute(
                delete(STEP).where(STEP.c.ended_at.is_not(None), STEP.c.ended_at < now - keep_s)
            ).rowcount
        return gone + ended


def note(connection: Connection, now: float, announcement: Announcement) -> None:
    """Add a list in the caller's transaction, and a line to the story of each study that it names."""
    if not announcement.instances:
        return
    connection.execute(
        upsert(schema.announcement).on_conflict_do_nothing(),
        [
            {
                "at": now,
                "kind": announcement.kind,
                "peer": announcement.peer,
                "study_instance_uid": one.study_instance_uid,
                "series_instance_uid": one.series_instance_uid,
                "sop_instance_uid": one.sop_instance_uid,
            }
            for one in announcement.instances
        ],
    )
    for study in sorted({one.study_instance_uid or "" for one in announcement.instances} - {""}):
        of_study = [one for one in announcement.instances if one.study_instance_uid == study]
        series = {one.series_instance_uid for one in of_study}
        detail = (
            f"{announcement.peer}, by {announcement.kind}: {len(of_study)} instances "
            f"in {len(series)} series"
        )
        tell(connection, now, study, "instances announced", detail)


def _completed(
    peer: str, study_instance_uid: str | None, performed: Sequence[Sequence[str]]
) -> Announcement:
    return Announcement(
        kind=Kind.MPPS,
        peer=peer,
        instances=tuple(
            Announced(
                sop_instance_uid=instance,
                series_instance_uid=series,
                study_instance_uid=study_instance_uid,
            )
            for series, instance in performed
        ),
    )

"""Studies whose order is looked for: among those that are known, and by asking somebody."""

from collections.abc import Mapping, Sequence

from sqlalchemy import exists, insert, select, update

from node.core.job import JobState
from node.core.orders import Ordered, OrderQuestion
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.ordered import keep_order, match
from node.store.subjects import SUBJECT, with_identity

QUESTION, LINK, JOB = schema.order_question, schema.study_order, schema.job
OWED, ANSWERED, GIVEN_UP = "OWED", "ANSWERED", "GIVEN UP"
MOST = 200
"""Studies of one transaction."""

AGAIN_S = (2.0, 5.0, 10.0, 20.0)
"""Pauses between two questions about one study; the last one repeats."""


class OrderStore:
    """Orders and the studies that wait for theirs.

    Parameters
    ----------
    database
        Where they are kept.
    issuers
        Default issuer of Patient ID of the sources, by name.
    """

    def __init__(self, database: Database, issuers: Mapping[str, str]) -> None:
        self._database = database
        self._issuers = dict(issuers)

    def match_new(self) -> int:
        """Look for the order of every study that is new, or another patient's; return of how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        new = with_identity().where(SUBJECT.c.matched_at.is_(None)).limit(MOST)
        with self._database.reading() as (connection, _):
            if connection.execute(new.limit(1)).first() is None:
                return 0
        with self._database.transaction() as (connection, now):
            studies = connection.execute(new).all()
            for study in studies:
                if study.accession_number:
                    match(connection, now, study, self._issuers)
            of = SUBJECT.c.study_instance_uid.in_([one.study_instance_uid for one in studies])
            connection.execute(update(SUBJECT).where(of).values(matched_at=now))
        return len(studies)

    def open(self, deadline_s: float) -> int:
        """Begin to ask for the order of every study that has a job waiting and no order; return of how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        waiting = (
            select(SUBJECT.c.study_instance_uid)
            .join(JOB, JOB.c.study_instance_uid == SUBJECT.c.study_instance_uid)
            .where(
                JOB.c.state == JobState.SCHEDULED,
                SUBJECT.c.accession_number != "",
                ~exists().where(QUESTION.c.study_instance_uid == SUBJECT.c.study_instance_uid),
                ~exists().where(LINK.c.study_instance_uid == SUBJECT.c.study_instance_uid),
            )
            .distinct()
            .limit(MOST)
        )
        with self._database.reading() as (connection, _):
            if connection.execute(waiting.limit(1)).first() is None:
                return 0
        with self._database.transaction() as (connection, now):
            studies = connection.execute(waiting).scalars().all()
            if studies:
                owed = {"state": OWED, "attempts": 0, "due_at": now, "until": now + deadline_s}
                rows = [{"study_instance_uid": uid, **owed} for uid in studies]
                connection.execute(insert(QUESTION), rows)
        return len(studies)

    def due(self) -> list[OrderQuestion]:
        """Return the studies whose order is to be asked for now."""
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(QUESTION, SUBJECT.c.accession_number)
                .join(SUBJECT, SUBJECT.c.study_instance_uid == QUESTION.c.study_instance_uid)
                .where(QUESTION.c.state == OWED, QUESTION.c.due_at <= now)
                .order_by(QUESTION.c.due_at)
                .limit(MOST)
            ).all()
        return [
            OrderQuestion(
                study_instance_uid=row.study_instance_uid,
                accession_number=row.accession_number,
                attempt=row.attempts + 1,
            )
            for row in rows
        ]

    def answer(self, question: OrderQuestion, peer: str, orders: Sequence[Ordered]) -> bool:
        """Keep what a source said; whether it was the study's order.

        When it was not, the source is asked again until the deadline: an order may be written down late.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        uid = question.study_instance_uid
        with self._database.transaction() as (connection, now):
            for order in orders:
                keep_order(connection, now, peer, order, self._issuers)
            of = LINK.c.study_instance_uid == uid
            if connection.execute(select(LINK.c.order_id).where(of)).first() is not None:
                connection.execute(
                    update(QUESTION)
                    .where(QUESTION.c.study_instance_uid == uid)
                    .values(state=ANSWERED, reason=None)
                )
                return True
        self.postpone(question, "ORDER-NOT-FOUND")
        return False

    def postpone(self, question: OrderQuestion, reason: str, *, final: bool = False) -> None:
        """Ask again after a while, or give up when the deadline is over, or when it is `final`.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        of = QUESTION.c.study_instance_uid == question.study_instance_uid
        pause = AGAIN_S[min(question.attempt, len(AGAIN_S)) - 1]
        with self._database.transaction() as (connection, now):
            row = connection.execute(
                select(QUESTION).where(of, QUESTION.c.state == OWED)
            ).one_or_none()
            if row is None:  # the study was corrected meanwhile, or its order came by a feed
                return
            over = final or now + pause > row.until
            connection.execute(
                update(QUESTION)
                .where(of)
                .values(
                    state=GIVEN_UP if over else OWED,
                    reason=reason,
                    attempts=question.attempt,
                    due_at=now + pause,
                )
            )
            if over:
                tell(connection, now, question.study_instance_uid, "order not found", reason)

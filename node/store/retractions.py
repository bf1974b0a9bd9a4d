"""A result is retracted: it stands nowhere any more, and never will again."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from node.core.job import ResultState, move
from node.core.withdrawal import RETRACTED
from node.store.database import Database
from node.store.events import tell
from node.store.takeback import DELIVERY, RESULT, stop

LONGEST_REASON = 255


class RetractionStore:
    """Takes back results for good.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def results(self, of: str) -> list[str]:
        """Return the result sets that stand for what is meant, all forms of each result.

        Parameters
        ----------
        of
            Study Instance UID, for all results of the study; or a result set's identifier or a job's, for that
            result.
        """
        named = select(RESULT.c.job_id).where(RESULT.c.result_set_id == of)
        with self._database.reading() as (connection, _):
            found = connection.execute(
                select(RESULT.c.result_set_id).where(
                    (RESULT.c.study_instance_uid == of)
                    | (RESULT.c.job_id == of)
                    | RESULT.c.job_id.in_(named),
                    RESULT.c.state != ResultState.RETRACTED,
                )
            ).scalars()
            return list(found)

    def retract(self, result_set_ids: Sequence[str], reason: str) -> int:
        """Retract result sets, and owe to every destination that may have one of them that it is taken back.

        Parameters
        ----------
        reason
            In words, for whoever reads the story of the study; it is sent to nobody.

        Returns
        -------
        int
            How many were not retracted before.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            rows = connection.execute(
                select(RESULT).where(
                    RESULT.c.result_set_id.in_(result_set_ids),
                    RESULT.c.state != ResultState.RETRACTED,
                )
            ).all()
            for row in rows:
                state = move(ResultState(row.state), ResultState.RETRACTED)
                connection.execute(
                    update(RESULT)
                    .where(RESULT.c.result_set_id == row.result_set_id)
                    .values(state=state, reason=reason[:LONGEST_REASON])
                )
                _take_back(connection, now, row.result_set_id)
            for study, model in sorted({(row.study_instance_uid, row.model) for row in rows}):
                tell(connection, now, study, "result retracted", f"{model}: {reason}")
            return len(rows)


def _take_back(connection: Connection, now: float, result_set_id: str) -> None:
    rows = connection.execute(
        select(DELIVERY, RESULT.c.study_instance_uid)
        .join(RESULT, RESULT.c.result_set_id == DELIVERY.c.result_set_id)
        .where(DELIVERY.c.result_set_id == result_set_id)
    ).all()
    for row in rows:
        stop(connection, now, row, RETRACTED)

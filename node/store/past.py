"""Studies that were dispatched, as they were then: for `overread rules replay`."""

from typing import Any

from sqlalchemy import Connection, Row, select

from node.core.replay import PastSeries, PastStudy
from node.core.study import SeriesOfStudy, SeriesState
from node.store import schema
from node.store.database import Database
from node.store.siblings import facts_of_series

SERIES, JOB = schema.series, schema.job


def past_studies(database: Database, since: float) -> list[PastStudy]:
    """Return every study of which a series was dispatched since then, with all its series.

    Parameters
    ----------
    since
        Seconds since 1970.
    """
    with database.reading() as (connection, _):
        uids = connection.execute(
            select(SERIES.c.study_instance_uid)
            .where(SERIES.c.dispatched_at >= since, SERIES.c.prior == 0)
            .group_by(SERIES.c.study_instance_uid)
        ).scalars()
        return [_study(connection, uid) for uid in list(uids)]


def _study(connection: Connection, study_instance_uid: str) -> PastStudy:
    rows = connection.execute(
        select(SERIES)
        .where(SERIES.c.study_instance_uid == study_instance_uid, SERIES.c.prior == 0)
        .order_by(SERIES.c.closed_at, SERIES.c.series_instance_uid)
    ).all()
    return PastStudy(
        study_instance_uid=study_instance_uid,
        peer=rows[0].peer,
        series=[_series(connection, row) for row in rows],
    )


def _series(connection: Connection, row: Row[Any]) -> PastSeries:
    facts = facts_of_series(connection, row)
    if not facts["SeriesInstances"] and row.evidence:  # retention removed them since
        facts["SeriesInstances"] = row.evidence["instances"]
    models = connection.execute(
        select(JOB.c.model).where(
            JOB.c.series_instance_uid == row.series_instance_uid, JOB.c.request == 0
        )
    ).scalars()
    return PastSeries(
        series=SeriesOfStudy(
            series_instance_uid=row.series_instance_uid,
            facts=facts,
            instances=facts["SeriesInstances"],
            closed_at=None if row.state == SeriesState.OPEN else row.closed_at,
            complete=row.state == SeriesState.COMPLETE,
            last_arrival=row.last_at,
        ),
        excluded=row.excluded,
        models=frozenset(str(model) for model in models),
        dispatched_at=row.dispatched_at,
    )

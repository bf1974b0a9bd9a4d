"""The series of one study, as the routing of each of them sees the others."""

from typing import Any

from sqlalchemy import Connection, Row, func, select

from node.core.study import SeriesOfStudy, SeriesState
from node.store import schema


def series_of_study(connection: Connection, study_instance_uid: str) -> list[SeriesOfStudy]:
    """Return every series of a study that was sent to us, open ones too."""
    series, instance = schema.series, schema.instance
    count = (
        select(func.count())
        .select_from(instance)
        .where(instance.c.series_instance_uid == series.c.series_instance_uid)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(series, count.label("instances")).where(
            series.c.study_instance_uid == study_instance_uid, series.c.prior == 0
        )
    ).all()
    return [
        SeriesOfStudy(
            series_instance_uid=row.series_instance_uid,
            facts={**row.facts, "SeriesInstances": row.instances},
            instances=row.instances,
            closed_at=None if row.state == SeriesState.OPEN else row.closed_at,
            complete=row.state == SeriesState.COMPLETE,
            last_arrival=row.last_at,
        )
        for row in rows
    ]


def facts_of_series(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Return what rules are asked about of a row of `schema.series`."""
    table = schema.instance
    count = connection.execute(
        select(func.count())
        .select_from(table)
        .where(table.c.series_instance_uid == row.series_instance_uid)
    ).scalar_one()
    return {**row.facts, "SeriesInstances": count}

"""By when a study is to be analysed."""

from sqlalchemy import Connection, select

from node.store import schema


def deadline_at(
    connection: Connection, study_instance_uid: str, deadline_s: float | None
) -> float | None:
    """Return when a deadline is over that began with the study's first instance; None without one."""
    if deadline_s is None:
        return None
    table = schema.study
    first_at = connection.execute(
        select(table.c.first_at).where(table.c.study_instance_uid == study_instance_uid)
    ).scalar_one()
    return float(first_at) + deadline_s

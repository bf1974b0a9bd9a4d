"""The story of a study, line by line, written in the transaction of what it tells."""

from sqlalchemy import Connection, insert

from node.store import schema


def tell(
    connection: Connection, now: float, study_instance_uid: str, what: str, detail: str = ""
) -> None:
    """Add a line to a study's story; `detail` names no patient."""
    connection.execute(
        insert(schema.event).values(
            at=now, study_instance_uid=study_instance_uid, what=what, detail=detail[:2048]
        )
    )

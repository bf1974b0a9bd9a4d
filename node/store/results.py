"""Result sets: what a published job leaves behind, written in the transaction that completes it."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, update

from node.core.form import is_notice
from node.core.job import (
    Claim,
    DeliveryState,
    InstanceState,
    ResultSet,
    ResultState,
    move,
)
from node.store import schema
from node.store.claims import NOTICE, answers, same_question
from node.store.deliveries import park_superseded
from node.store.events import tell
from node.store.outbox import DELIVER, put


def supersede(connection: Connection, now: float, claim: Claim) -> None:
    """Let the result of a claim take the place of the one that was current."""
    table = schema.result_set
    rows = connection.execute(
        select(table.c.result_set_id, table.c.job_id, table.c.position).where(
            same_question(claim), table.c.state == ResultState.CURRENT
        )
    ).all()
    if not rows:
        return
    older = [row.result_set_id for row in rows]
    state = move(ResultState.CURRENT, ResultState.SUPERSEDED)
    connection.execute(update(table).where(table.c.result_set_id.in_(older)).values(state=state))
    what = "notice" if all(row.position == NOTICE for row in rows) else "result"
    detail = f"{len({row.job_id for row in rows})} earlier {what} of {claim.model}"
    tell(connection, now, claim.study_instance_uid, f"{what} superseded", detail)
    for destination in park_superseded(connection, now, older):
        told = f"{destination}: a newer result takes its place"
        tell(connection, now, claim.study_instance_uid, "delivery parked", told)


def insert_result(connection: Connection, now: float, claim: Claim, result_set: ResultSet) -> None:
    """Write a result set behind the job's others, and its objects in the order in which they are delivered."""
    table = schema.result_set
    before = select(func.count()).where(table.c.job_id == claim.job_id, answers())
    position = NOTICE if is_notice(result_set.profile) else connection.execute(before).scalar_one()
    connection.execute(
        insert(schema.result_set).values(
            result_set_id=result_set.result_set_id,
            job_id=claim.job_id,
            study_instance_uid=claim.study_instance_uid,
            series_instance_uid=claim.series_instance_uid,
            model=claim.model,
            profile=result_set.profile,
            position=position,
            state=ResultState.CURRENT,
            report=dict(result_set.report),
            picture=result_set.picture,
            answer=result_set.answer,
            seconds=dict(result_set.seconds),
            server=result_set.server,
            created_at=now,
        )
    )
    connection.execute(
        insert(schema.result_instance),
        [
            {
                "sop_instance_uid": item.sop_instance_uid,
                "result_set_id": result_set.result_set_id,
                "position": position,
                "kind": item.kind,
                "sop_class_uid": item.sop_class_uid,
                "series_instance_uid": item.series_instance_uid,
                "transfer_syntax_uid": item.transfer_syntax_uid,
                "path": item.path,
                "digest": item.digest,
            }
            for position, item in enumerate(result_set.instances)
        ],
    )


def owe_delivery(
    connection: Connection, now: float, result_set: ResultSet, destination: str
) -> None:
    """Owe a result set to one destination, with its bell."""
    delivery_id = f"{result_set.result_set_id[-32:]}:{destination}"[:64]
    connection.execute(
        insert(schema.delivery).values(
            delivery_id=delivery_id,
            result_set_id=result_set.result_set_id,
            destination=destination,
            state=DeliveryState.OWED,
            due_at=now,
            created_at=now,
        )
    )
    owe_instances(
        connection, now, delivery_id, [one.sop_instance_uid for one in result_set.instances]
    )
    put(connection, DELIVER, delivery_id, now)


def owe_instances(
    connection: Connection, now: float, delivery_id: str, sop_instance_uids: Sequence[str]
) -> None:
    """Owe objects as parts of a delivery."""
    connection.execute(
        insert(schema.delivery_instance),
        [
            {
                "delivery_id": delivery_id,
                "sop_instance_uid": uid,
                "state": InstanceState.OWED,
                "at": now,
            }
            for uid in sop_instance_uids
        ],
    )

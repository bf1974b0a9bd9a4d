"""What becomes of a rule's question about a series: a job, a part in one that there is, or nothing new."""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from node.core.job import JobRequest
from node.store import schema
from node.store.corrections import in_question, still_to_get
from node.store.events import tell
from node.store.joined import join
from node.store.orders import create
from node.store.overtaken import overtake

JOB = schema.job


def ask(
    connection: Connection,
    now: float,
    request: JobRequest,
    *,
    joins: bool,
    reissued: Collection[str],
) -> None:
    """Order a job in the caller's transaction, unless its question was answered already.

    Parameters
    ----------
    joins
        The rule had waited: whoever is to have its result joins the job that answered the same question.
    reissued
        Destinations that get a result anew when the identity of its study is corrected.
    """
    asked = in_question(connection, request)
    if asked is None and joins:
        join(connection, now, request, reissued)
        return
    if asked is None:
        detail = f"ALREADY-ANALYSED: {request.model} {request.version} read the same instances"
        tell(connection, now, request.study_instance_uid, "not analysed again", detail)
        return
    destinations = still_to_get(connection, now, asked, reissued)
    if destinations is None:
        return
    same_question = (
        (JOB.c.study_instance_uid == request.study_instance_uid)
        & (JOB.c.series_instance_uid == request.series_instance_uid)
        & (JOB.c.model == request.model)
    )
    overtake(connection, now, same_question, "more of the series arrived before the job was done")
    create(connection, now, replace(asked, destinations=tuple(destinations)))

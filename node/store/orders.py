"""Jobs as they are ordered, with the instances that they read."""

from sqlalchemy import Connection, insert

from node.core.job import JobRequest, JobState, Readiness
from node.store import schema
from node.store.deadlines import deadline_at
from node.store.events import tell
from node.store.ordered import worth_of

JOB = schema.job
DETAIL = 1024
"""Characters that are kept of a reason in words: a gate's report can be longer than its column."""


def create(connection: Connection, now: float, request: JobRequest) -> None:
    """Write a job, in the caller's transaction; one that is canceled from the start is told of."""
    reason, detail = request.canceled or (None, None)
    connection.execute(
        insert(JOB).values(
            job_id=request.job_id,
            study_instance_uid=request.study_instance_uid,
            series_instance_uid=request.series_instance_uid,
            model=request.model,
            version=request.version,
            rule=request.rule,
            digest=request.digest,
            request=request.request,
            # an order that came before the images raises what a rule asks, and never lowers it
            priority=max(request.priority, worth_of(connection, request.study_instance_uid)),
            destinations=list(request.destinations),
            evidence=dict(request.evidence),
            state=JobState.CANCELED if request.canceled else JobState.SCHEDULED,
            readiness=Readiness.UNAVAILABLE if request.canceled else Readiness.INCOMPLETE,
            reason=reason,
            detail=detail and detail[:DETAIL],
            due_at=now,
            created_at=now,
            deadline_at=deadline_at(connection, request.study_instance_uid, request.deadline_s),
            ended_at=now if request.canceled else None,
        )
    )
    connection.execute(
        insert(schema.job_input),
        [
            {"job_id": request.job_id, "sop_instance_uid": uid, "input": name}
            for name, uids in request.inputs.items()
            for uid in uids
        ],
    )
    if request.canceled:
        tell(connection, now, request.study_instance_uid, "job canceled", f"{reason}: {detail}")
    else:
        detail = f"{request.model} {request.version} by rule {request.rule}"
        tell(connection, now, request.study_instance_uid, "job scheduled", detail)

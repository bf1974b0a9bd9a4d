"""Logs as events with fields, free of patient data by an allow-list.

A field that `ALLOWED_FIELDS` does not name is dropped and counted in ``dropped_fields``: a name, an
identifier of the patient or a date of birth cannot reach a log by accident. UIDs are allowed: they are
what an administrator searches for, and they name no person.
"""

import logging
import sys
import threading
import traceback
from functools import partial
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict

ALLOWED_FIELDS = frozenset({
    "event", "level", "timestamp", "role", "pid",
    "association_id", "peer", "ae_title", "address", "port", "outcome", "status",
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid",
    "job_id", "result_set_id", "delivery_id", "destination", "transaction_uid", "model", "version", "rule",
    "reason", "detail", "witness", "count", "bytes", "seconds", "attempt", "state", "server", "queue", "url",
    "error", "frames", "instances", "path",
})  # fmt: skip
"""Every field that may stand in a log record."""

MetricName = Literal[
    "overread_instances_received_total",  # C-STOREs answered Success, by outcome
    "overread_instances_unrecorded",  # instances answered Success and in no record yet, by state
    "overread_series",  # series by state
    "overread_jobs",  # jobs by state
    "overread_results",  # result sets by state
    "overread_deliveries",  # deliveries by destination and state
    "overread_destination_owed",  # deliveries that wait, by destination
    "overread_destination_parked",  # those that somebody has to look at
    "overread_destination_open",  # 1 while a destination does not answer, and its circuit is open
    "overread_destination_oldest_seconds",  # since when the oldest of those that wait is owed
    "overread_identity_checks",  # whether the archive verified whose study it is, by state
    "overread_withdrawals",  # what destinations are to take back, by state
    "overread_series_excluded",  # series that no rule was asked about, by reason
    "overread_deadlines_missed_total",  # expected studies without a result by their deadline, by reason
    "overread_late_instances_total",  # instances of series that were closed before, by peer
    "overread_corrections_total",  # images that came again with another identity, by peer
    "overread_conflicts_total",  # other objects under a known UID, by peer
    "overread_retrievals",  # missing images that an archive was asked for, by state
    "overread_priors",  # earlier series that jobs wait for, or waited for, by state
    "overread_outbox",  # bells outstanding
    "overread_announced_instances",  # instances that peers listed, by service
    "overread_confirmations",  # what archives are asked about what they took, by state
    "overread_commitments",  # Storage Commitment transactions by state
    "overread_feed_messages",  # messages of HL7 version 2 that were taken, by kind
    "overread_orders",  # orders, by peer
    "overread_order_questions",  # studies whose order somebody is asked for, by state
    "overread_patient_merges",  # numbers of patients that gave way to others, by peer
    "overread_expired_total",  # files that retention removed, by kind
    "overread_housekeeping_faults",  # what the last daily work found, by work
    "overread_housekeeping_finished_seconds",  # when it was done, by work
]
"""The closed list of metrics; an unknown name does not type-check."""


def set_up(role: str, stream: TextIO | None = None) -> None:
    """Send the logs of this process to `stream` (standard error) as JSON lines.

    Libraries' own records are passed on from WARNING upwards, without their arguments, because those
    may quote datasets. Exceptions that nobody caught are told in the same way as by `log_failure`.
    """
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            partial(_of_role, role),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _frames_only,
            _allowed_only,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_WithoutArguments())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)  # pydicom's quote the value that they are about
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed


def log(event: str, **fields: Any) -> None:
    """Record that something happened; `fields` outside the allow-list are dropped."""
    structlog.get_logger().info(event, **fields)


def log_error(event: str, **fields: Any) -> None:
    """Record what somebody must look at; `fields` outside the allow-list are dropped."""
    structlog.get_logger().error(event, **fields)


def log_failure(event: str, error: BaseException, **fields: Any) -> None:
    """Record a failure by its type and the frames it passed, never by its text, which may quote data."""
    structlog.get_logger().error(event, exc=error, **fields)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell what ends this process without the error's text, which Python would print."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log_failure("crashed", error.with_traceback(trace))


def _thread_crashed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None:
        log_failure("thread crashed", failure.exc_value)


def _of_role(role: str, _: Any, __: str, event: EventDict) -> EventDict:
    return {"role": role, **event}


def _frames_only(_: Any, __: str, event: EventDict) -> EventDict:
    error = event.pop("exc", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    return event


def _allowed_only(_: Any, __: str, event: EventDict) -> EventDict:
    kept = {key: value for key, value in event.items() if key in ALLOWED_FIELDS}
    if len(kept) < len(event):
        kept["dropped_fields"] = len(event) - len(kept)
    return kept


class _WithoutArguments(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f'{{"level": "{record.levelname.lower()}", "event": "library", "path": "{record.name}"}}'

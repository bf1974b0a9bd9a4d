"""The tasks: a bell in, one pipeline call out. A bell without owed work is harmless."""

from celery import Celery

from node.bootstrap import Step
from node.core.ports import Hold
from node.telemetry import log_failure


def register(app: Celery, queue: str, step: Step, hold: Hold) -> None:
    """Give a worker of `queue` its one task."""

    @app.task(name=f"overread.{queue}")
    def answer_bell() -> None:
        """Do one piece of owed work."""
        try:
            step(hold)
        except Exception as error:
            # the outermost frame: told without its text, which may quote data; the lease then ends
            log_failure("task failed", error, queue=queue)
            raise

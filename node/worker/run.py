"""A worker process: one queue, one task at a time."""

import gc

from node import bootstrap
from node.settings import Settings
from node.store.outbox import ANALYSE, DELIVER
from node.telemetry import log
from node.worker.app import create_app
from node.worker.hold import holding
from node.worker.tasks import register

QUEUES = (ANALYSE, DELIVER)


def run_worker(settings: Settings, queue: str) -> None:
    """Answer the bells of `queue` until SIGTERM; the running task is finished first.

    Pool ``solo``: gRPC channels and torch's threads do not survive a fork.

    Raises
    ------
    SystemExit
        Celery met an error that it cannot work with; whoever supervises the process starts it again.
    """
    step = bootstrap.analyser(settings) if queue == ANALYSE else bootstrap.deliverer(settings)
    app = create_app(settings)
    register(app, queue, step, holding(settings.queue.lease_s / 3))
    # What is loaded by now stays: a job makes hundreds of thousands of objects, and the collector would go
    # through all that is loaded for each few of them.
    gc.freeze()
    log("worker starts", queue=queue)
    worker = app.Worker(
        pool="solo",
        concurrency=1,
        queues=[queue],
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    if worker.exitcode:
        log("worker failed", queue=queue, status=worker.exitcode)
        raise SystemExit(worker.exitcode)

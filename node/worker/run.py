"""A worker process: one queue of bells, and what answers them."""

import contextlib
import gc
from collections.abc import Iterator

from node import bootstrap
from node.core.ports import Hold
from node.settings import Settings
from node.store.outbox import ANALYSE, DELIVER
from node.telemetry import log
from node.worker.app import create_app
from node.worker.hold import holding
from node.worker.lanes import Lanes
from node.worker.tasks import register

QUEUES = (ANALYSE, DELIVER)


def run_worker(settings: Settings, queue: str) -> None:
    """Answer the bells of `queue` until SIGTERM; what is under way is finished first.

    Pool ``solo``: gRPC channels and torch's threads do not survive a fork.

    Raises
    ------
    SystemExit
        Celery met an error that it cannot work with; whoever supervises the process starts it again.
    """
    with _answering(settings, queue) as step:
        _run(settings, queue, step)


@contextlib.contextmanager
def _answering(settings: Settings, queue: str) -> Iterator[bootstrap.Step]:
    """Give what is done when a bell rings."""
    if queue == ANALYSE:
        yield bootstrap.analyser(settings)
        return
    wired = bootstrap.deliverer(settings)
    lanes = Lanes(wired.threads, wired.step, holding(settings.queue.lease_s / 3))

    def wake(_: Hold) -> bool:
        lanes.wake()
        return True

    lanes.start()
    try:
        yield wake
    finally:
        lanes.stop()


def _run(settings: Settings, queue: str, step: bootstrap.Step) -> None:
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

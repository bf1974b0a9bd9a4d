"""The Celery application: two queues of bells, no results, no state of its own."""

from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError

from node.settings import Settings
from node.telemetry import log
from node.worker.folder import SCHEME


def create_app(settings: Settings) -> Celery:
    """Return the application on the configured broker, by default a folder inside `node.data`."""
    app = Celery("overread", broker=settings.queue.broker or f"{SCHEME}://")
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,  # a lost bell is rung again by the keeper
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        task_publish_retry=False,
        broker_transport_options={}
        if settings.queue.broker
        else _folders(settings.node.data / "queue"),
    )
    return app


def ring(app: Celery, queue: str) -> bool:
    """Wake a worker of `queue`; False when the broker cannot be reached, and the keeper tries again."""
    broker = app.connection_for_write()
    unreachable: tuple[type[BaseException], ...] = (
        *broker.connection_errors,
        *broker.channel_errors,  # a folder that takes no more files is one
        OperationalError,
        OSError,
    )
    try:
        app.send_task(f"overread.{queue}", queue=queue, ignore_result=True)
    except unreachable as error:
        log("broker unreachable", queue=queue, error=type(error).__name__)
        return False
    return True


def _folders(root: Path) -> dict[str, object]:
    messages, control = root / "messages", root / "control"
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "store_processed": False,
        "polling_interval": 0.05,
    }

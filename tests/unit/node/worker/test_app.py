from pathlib import Path
from typing import Any

import pytest
import structlog
from kombu.exceptions import ChannelError, OperationalError

from node.core.ports import Hold
from node.settings import NodeTable, QueueTable, Settings
from node.worker.app import create_app, ring
from node.worker.hold import holding
from node.worker.tasks import register


def settings(folder: Path, broker: str = "") -> Settings:
    return Settings(node=NodeTable(data=folder), queue=QueueTable(broker=broker))


def test_a_bell_is_one_message_in_a_folder(tmp_path: Path) -> None:
    with create_app(settings(tmp_path)) as app:
        assert ring(app, "analyse")
        (message,) = (tmp_path / "queue" / "messages").iterdir()
    assert message.name.endswith(".analyse.msg")
    assert "job" not in message.read_text()  # a bell names no work


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "No space left"),
        ChannelError("folder"),
        OperationalError("away"),
        TimeoutError(),
    ],
)
def test_a_broker_that_takes_no_bell_is_told_to_the_keeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    with create_app(settings(tmp_path)) as app:

        def fail(*_: Any, **__: Any) -> None:
            raise failure

        monkeypatch.setattr(app, "send_task", fail)
        assert not ring(app, "analyse")


def test_a_queue_folder_that_is_gone_is_a_broker_that_is_away(tmp_path: Path) -> None:
    with create_app(settings(tmp_path)) as app:
        (tmp_path / "queue" / "messages").rmdir()
        (tmp_path / "queue" / "messages").write_text("not a folder")
        assert not ring(app, "analyse")


def test_another_broker_needs_no_folder(tmp_path: Path) -> None:
    with create_app(settings(tmp_path, "memory://")) as app:
        assert app.conf.broker_url == "memory://"
        assert app.conf.worker_prefetch_multiplier == 1
    assert not (tmp_path / "queue").exists()


def test_a_bell_does_one_piece_of_work(tmp_path: Path) -> None:
    held: list[Hold] = []
    hold = holding(60)

    def step(given: Hold) -> bool:
        held.append(given)
        return len(held) == 1

    with create_app(settings(tmp_path, "memory://")) as app:
        register(app, "analyse", step, hold)
        app.tasks["overread.analyse"]()
        app.tasks["overread.analyse"]()  # nothing owed: harmless
    assert held == [hold, hold]


def test_a_task_that_fails_is_told_without_its_text(tmp_path: Path) -> None:
    def fail(_: object) -> bool:
        raise ValueError("of Mr Muster")

    with create_app(settings(tmp_path, "memory://")) as app:
        register(app, "deliver", fail, holding(60))
        with structlog.testing.capture_logs() as told, pytest.raises(ValueError, match="Muster"):
            app.tasks["overread.deliver"]()
    (record,) = told
    assert (record["event"], record["queue"]) == ("task failed", "deliver")
    assert "Muster" not in {key: str(value) for key, value in record.items() if key != "exc"}

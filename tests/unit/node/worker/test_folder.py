"""The folder that carries the bells: a message has its name only when it is complete."""

from pathlib import Path

import pytest
from kombu import Connection

from node.worker.folder import SCHEME


def options(folder: Path) -> dict[str, str]:
    control = folder / "control"
    messages = {"data_folder_in": str(folder), "data_folder_out": str(folder)}
    return {**messages, "control_folder": str(control)}


# kombu remembers a process's bindings by name: each test has a queue of its own
def test_a_message_arrives(tmp_path: Path) -> None:
    with Connection(f"{SCHEME}://", transport_options=options(tmp_path)) as connection:
        queue = connection.SimpleQueue("arrives")
        queue.put({"bell": 1})
        message = queue.get(timeout=5)
        message.ack()
        assert message.payload == {"bell": 1}
        assert not list(tmp_path.glob("*.msg"))


def test_nobody_sees_half_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    write = Path.write_bytes

    def spied(path: Path, data: bytes) -> int:
        written = write(path, data[:1])
        seen.append([item.name for item in tmp_path.glob("*.msg")])
        write(path, data)
        return written

    monkeypatch.setattr(Path, "write_bytes", spied)
    with Connection(f"{SCHEME}://", transport_options=options(tmp_path)) as connection:
        connection.SimpleQueue("whole").put({"bell": 1})
    assert seen == [[]]
    assert len(list(tmp_path.glob("*.whole.msg"))) == 1

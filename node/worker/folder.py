"""A folder as Celery's broker: kombu's filesystem transport, with messages that appear whole.

kombu creates a message's file and writes it then; a worker that looks in between reads an empty message
and ends. Here a message gets its name when it is complete.
"""

import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "overread-folder"
TRANSPORT_ALIASES[SCHEME] = "node.worker.folder:Transport"


class Channel(filesystem.Channel):
    """A channel whose messages appear whole."""

    def _put(  # type: ignore[override]  # the two classes that kombu derives it from disagree
        self, queue: str, payload: dict[str, Any], **kwargs: Any
    ) -> None:
        folder = Path(self.data_folder_out)
        unnamed = folder / f"{uuid.uuid4()}.part"
        try:
            unnamed.write_bytes(dumps(payload).encode())
            # the name sorts by age and ends as kombu looks for it
            unnamed.replace(folder / f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg")
        except OSError as error:
            raise ChannelError(f"cannot add a message to {folder}") from error


class Transport(filesystem.Transport):
    """kombu's filesystem transport on that channel."""

    Channel = Channel

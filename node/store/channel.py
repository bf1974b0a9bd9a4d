"""What listeners tell the recorder: one socket between processes of one parent, many writers and one reader.

A message that finds no room is dropped. Nothing rests on it: the files themselves tell the same, later.
"""

import contextlib
import pickle
import select
import socket
from typing import Any

LONGEST = 128 * 1024
"""Bytes of a message; a longer one is dropped."""

ROOM = 4 << 20
"""Bytes on their way, as far as the system allows."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the reader's and the writers' end, both inheritable by children that are given them."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return reader, writer


def tell(writer: socket.socket, message: object) -> bool:
    """Send a message, if there is room for it; return whether there was."""
    data = pickle.dumps(message)
    if len(data) > LONGEST:
        return False
    try:
        return writer.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(data)
    except OSError:
        return False


def hear(reader: socket.socket, wait_s: float) -> list[Any]:
    """Return every message that is there; wait for the first one at most so long.

    Raises
    ------
    EOFError
        Nothing is there, and nobody is left who could write.
    """
    if not select.select([reader], [], [], wait_s)[0]:
        return []
    messages = more(reader)
    if not messages:
        raise EOFError
    return messages


def more(reader: socket.socket) -> list[Any]:
    """Return every message that is there now."""
    messages: list[Any] = []
    with contextlib.suppress(BlockingIOError):
        while data := reader.recv(LONGEST, socket.MSG_DONTWAIT):
            # from a process of ours, over a socket that no other one can open
            messages.append(pickle.loads(data))  # noqa: S301
    return messages

"""``overread serve`` and the roles one by one."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Annotated

import typer

from inference.triton import end_with_parent
from node.cli.app import CONFIG, Config, load
from node.cli.supervisor import PARENT, Supervisor, listeners, roles
from node.settings import Settings
from node.telemetry import log, set_up

RECORDER_NICENESS = 5
"""An answer that is waited for comes before a record that is not."""

WAKE_S = 0.5
"""How often a process that only waits looks whether a signal came."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (serve, listener, keeper, worker, web, hl7, triton):
        app.command()(command)
    app.command(hidden=True)(recorder)


def begin(role: str) -> None:
    """Set up a role's process: its logs, and its end together with the supervisor that started it."""
    set_up(role)
    parent = os.environ.pop(PARENT, None)
    if parent is not None:
        end_with_parent(int(parent))


def serve(config: Config = CONFIG) -> None:
    """Run every role on this machine, each in its own process, and restart what ends."""
    settings = load(config)
    begin("serve")
    supervisor = Supervisor(config, roles(settings))
    _on_term(supervisor.stop)
    supervisor.run()


def listener(
    config: Config = CONFIG,
    socket_fd: Annotated[int, typer.Option(hidden=True)] = -1,
    told_fd: Annotated[int, typer.Option(hidden=True)] = -1,
    number: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Receive studies by C-STORE, in as many processes as `listener.processes` says, and record them."""
    from node.dicom.listener import open_port
    from node.store import channel

    settings = load(config)
    begin("listener")
    table = settings.listener
    if socket_fd >= 0:
        _receive(settings, socket.socket(fileno=socket_fd), socket.socket(fileno=told_fd), number)
        return
    hearing, telling = channel.pair()
    with open_port(table.host, table.port) as listening, hearing, telling:
        children = listeners(listening, table.processes, (hearing, telling))
        supervisor = Supervisor(config, children, before_last=telling.close)
        _on_term(supervisor.stop)
        supervisor.run()


def recorder(
    config: Config = CONFIG, told_fd: Annotated[int, typer.Option(hidden=True)] = -1
) -> None:
    """Record what the processes of a listener have answered with Success; each listener starts its own."""
    from node import bootstrap

    settings = load(config)
    begin("recorder")
    # a signal goes to listeners too, which have associations to finish: it ends when nobody can tell it more
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    bootstrap.record_arrivals(
        settings, socket.socket(fileno=told_fd), begun=lambda: os.nice(RECORDER_NICENESS)
    )


def _receive(
    settings: Settings, listening: socket.socket, telling: socket.socket, number: int
) -> None:
    from node import bootstrap

    server = bootstrap.listener(settings, number, telling)
    ended = threading.Event()
    _on_term(ended.set)
    server.start(listening)
    # a signal that comes between Python's look at signals and the wait itself does not end the wait
    while not ended.wait(WAKE_S):
        pass
    server.drain()
    log("listener drained")


def keeper(config: Config = CONFIG) -> None:
    """Assemble, dispatch, prepare and ring.

    Raises
    ------
    typer.Exit
        It met a bug, which its log tells (exit code 1).
    """
    from node import bootstrap
    from node.clock import SystemClock
    from node.worker.app import create_app
    from node.worker.keeper import Keeper

    settings = load(config)
    begin("keeper")
    role = Keeper(bootstrap.keeper(settings), create_app(settings), SystemClock())
    _on_term(role.stop)
    if not role.run():
        raise typer.Exit(1)


def worker(
    config: Config = CONFIG,
    queue: Annotated[str, typer.Option(help="analyse or deliver")] = "analyse",
) -> None:
    """Do what is owed: analyses, or deliveries.

    Raises
    ------
    typer.BadParameter
        There is no such queue.
    """
    from node.worker.run import QUEUES, run_worker

    if queue not in QUEUES:
        raise typer.BadParameter(f"{queue}: expected one of {', '.join(QUEUES)}")
    settings = load(config)
    begin(f"worker:{queue}")
    run_worker(settings, queue)


def web(config: Config = CONFIG) -> None:
    """Show studies, jobs and deliveries on a status page."""
    from node import bootstrap
    from node.web.server import run

    settings = load(config)
    begin("web")
    run(bootstrap.viewing(settings), settings.web)


def hl7(config: Config = CONFIG) -> None:
    """Receive orders and merges of patients as messages of HL7 version 2."""
    from node import bootstrap

    settings = load(config)
    begin("hl7")
    table = settings.hl7
    server = bootstrap.feed_server(settings)
    ended = threading.Event()
    _on_term(ended.set)
    server.start(socket.create_server((table.host, table.port)))
    log("hl7 starts", port=table.port)
    while not ended.wait(WAKE_S):
        pass
    server.drain()
    log("hl7 drained")


def triton(config: Config = CONFIG) -> None:
    """Run NVIDIA's Triton server from its wheel, in the foreground."""
    from node.cli.triton import run

    settings = load(config)
    begin("triton")
    run(settings)


def _on_term(stop: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())

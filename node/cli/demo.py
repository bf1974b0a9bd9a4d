"""``overread demo``: one real head travels the whole way, on this machine, by itself."""

import shutil
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from node.cli.app import err, out

MARK = "overread.toml"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the demo keeps its files; emptied first.")
    ] = Path("var/demo"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running, with the status page.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line at the end.")
    ] = False,
) -> None:
    """Let one head MR travel the whole way on this machine, and show what arrived.

    Raises
    ------
    typer.Exit
        The folder is somebody else's (exit code 2), or something did not arrive (exit code 1).
    """
    from node.demo.hospital import running_hospital
    from node.demo.journey import show, summary, travel

    _empty(folder)
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    with running_hospital(folder.resolve()) as hospital:
        arrival = travel(hospital, out)
        complete = show(hospital, arrival, out)
        out.print(f"The demo took {time.monotonic() - begun:.0f} s.", highlight=False)
        if as_json:
            out.print(summary(arrival), highlight=False, soft_wrap=True)
        if keep:
            _keep(hospital.settings.web.port)
    if not complete:
        err.print("[red]something did not arrive[/]")
        raise typer.Exit(1)


def _empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        err.print(f"{folder} is not empty and was not made by the demo: name another --folder")
        raise typer.Exit(2)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _keep(port: int) -> None:
    out.print(f"Status page: http://127.0.0.1:{port}/ (end with Ctrl-C)")
    try:
        signal.pause()
    except KeyboardInterrupt:
        out.print("ending")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

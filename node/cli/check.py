"""``overread check``: every part and every peer is tried, and each fault says who must change what."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from inference.card import check_weights
from inference.errors import InferenceError
from inference.server import TritonServer
from integrations.errors import IntegrationError
from integrations.probe import Probe
from node import bootstrap
from node.cli.app import CONFIG, Config, Json, load, out
from node.clock import at
from node.errors import NodeError
from node.settings import Settings

Subject = TypeVar("Subject")
OWN_FAULTS = (NodeError, InferenceError, IntegrationError, OSError)
MARKS = {True: "[green]ok[/]   ", False: "[red]fault[/]", None: "[yellow]note[/] "}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(check)


def check(
    config: Config = CONFIG,
    write: Annotated[
        bool, typer.Option("--write", help="Also write something harmless, and take it back.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try the configuration, the models, Triton and every peer.

    Raises
    ------
    typer.Exit
        Something is wrong (exit code 1).
    """
    found: list[tuple[str, Probe]] = []
    for subject, probe in run(load(config), write=write):
        found.append((subject, probe))
        if not as_json:
            _print(subject, probe)
    if as_json:
        print(json.dumps([{"subject": subject, **asdict(probe)} for subject, probe in found]))  # noqa: T201
    if any(probe.passed is False for _, probe in found):
        raise typer.Exit(1)


def _print(subject: str, probe: Probe) -> None:
    out.print(f"{MARKS[probe.passed]} {subject}, {probe.name}: ", end="")
    out.print(probe.said, markup=False, highlight=False)
    if probe.change:
        out.print(f"      → {probe.change}", markup=False, highlight=False)


def run(settings: Settings, *, write: bool = False) -> Iterator[tuple[str, Probe]]:
    """Try everything; yield what was tried of whom."""
    change = "see that node.data is a folder on a local disk that this user may write"
    yield "node", _try("database and folder", change, bootstrap.database, settings)
    yield "node", _ledger(settings)
    yield from _models(settings)
    if settings.inference.server == "triton":
        yield "node", _triton(settings)
    for peer in settings.peer:
        for attempt in bootstrap.trials(settings, peer, write=write):
            try:
                probes = attempt()
            except OWN_FAULTS as error:
                change = f"mend the configuration of the peer {peer.name}"
                probes = (
                    Probe(name="configuration", passed=False, said=str(error), change=change),
                )
            for probe in probes:
                yield f"peer {peer.name}", probe


def _ledger(settings: Settings) -> Probe:
    from node.store.housekeeping import LEDGER, HousekeepingStore

    name = "ledger"
    try:
        done = HousekeepingStore(bootstrap.database(settings)).last(LEDGER)
    except NodeError as error:
        return Probe(name=name, passed=False, said=str(error), change="see the line above")
    if done is None:
        return Probe(name=name, passed=None, said="not drawn up yet")
    when = f"on {at(done.ended_at):%Y-%m-%d %H:%M} UTC"
    if not done.faults:
        return Probe(name=name, passed=True, said=f"balanced {when}")
    said = f"{done.faults} differences {when}"
    return Probe(name=name, passed=False, said=said, change="look at each: overread ledger")


def _models(settings: Settings) -> Iterator[tuple[str, Probe]]:
    try:
        cards = bootstrap.cards(settings)
    except NodeError as error:
        said = str(error)
        yield "models", Probe(name="cards", passed=False, said=said, change="mend the card")
        return
    for name, card in cards.items():
        change = "install the model's files again, those whose digests its card names"
        yield f"model {name}", _try("weights", change, check_weights, card)


def _triton(settings: Settings) -> Probe:
    table = settings.inference
    where = f"{table.host}:{table.grpc_port}"
    server = TritonServer(where, shared_memory=False)
    unready = [name for name in bootstrap.cards(settings) if not server.ready(name)]
    if not unready:
        return Probe(name="Triton", passed=True, said=f"ready at {where}")
    change = "start overread triton, or see why it cannot load them: triton/triton.log in node.data"
    said = f"not ready at {where}: {', '.join(unready)}"
    return Probe(name="Triton", passed=False, said=said, change=change)


def _try(name: str, change: str, attempt: Callable[[Subject], object], subject: Subject) -> Probe:
    try:
        attempt(subject)
    except OWN_FAULTS as error:
        return Probe(name=name, passed=False, said=str(error), change=change)
    return Probe(name=name, passed=True, said="as it should be")

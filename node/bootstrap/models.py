"""The models: their cards, the rules that name them, and the server that runs them."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from node.errors import SettingsInvalid
from node.settings import Settings
from node.telemetry import log

if TYPE_CHECKING:
    from inference.card import Card
    from inference.server import ModelServer
    from node.pipeline.routes import Routes


def cards(settings: Settings) -> "Mapping[str, Card]":
    """Read the models' cards and hold the rules against them.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, or a card is wrong.
    """
    from inference.card import load_all
    from inference.errors import CardInvalid

    try:
        found = load_all(settings.inference.models)
    except CardInvalid as error:
        raise SettingsInvalid((str(error),)) from error
    unknown = [rule for rule in settings.rules if rule.model not in found]
    if unknown:
        known = ", ".join(found) or "none"
        raise SettingsInvalid(
            tuple(
                f"rule {rule.name}: no card for the model {rule.model} in "
                f"{settings.inference.models} (found: {known})"
                for rule in unknown
            )
        )
    return found


def routes(settings: Settings, installed: "Mapping[str, Card] | None" = None) -> "Routes":
    """Wire what decides which model reads a series.

    Parameters
    ----------
    installed
        The models' cards; None to read them.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, or a card is wrong.
    """
    from node.pipeline.routes import Routes

    return Routes(
        rules=settings.rules,
        cards=cards(settings) if installed is None else installed,
        results_to=lambda name: settings.peer_named(name).results_to,
        exclusions=settings.exclude.exclusions,
        priority_of=lambda name: settings.peer_named(name).priority,
        quiet_of=lambda name: settings.peer_named(name).quiet,
    )


def model_server(settings: Settings) -> "ModelServer":
    """Return the server that runs the networks, or the same models in process when there is none."""
    from inference.server import InProcessServer, TritonServer
    from inference.triton import installed

    table = settings.inference
    local = table.host in {"127.0.0.1", "localhost", "::1"}
    if table.server == "in-process" or (local and not installed()):
        return InProcessServer(table.models)
    server = TritonServer(f"{table.host}:{table.grpc_port}", shared_memory=local)
    names = tuple(cards(settings))
    deadline = time.monotonic() + table.ready_timeout_s
    while not all(server.ready(name) for name in names):
        if time.monotonic() > deadline:
            log("triton not ready, models run in process", seconds=table.ready_timeout_s)
            return InProcessServer(table.models)
        time.sleep(0.2)
    log("triton ready", server=server.name)
    return server

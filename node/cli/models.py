"""``overread models`` and ``overread analyse``: the models on their own, without a node."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import inference.models
from node.cli.app import Json, err, out
from node.clock import SystemClock, at
from node.core.pictures import OVERLAY, key_slice

if TYPE_CHECKING:
    from inference.card import Card
    from inference.volume import Series

REPOSITORY = Path(inference.models.__path__[0])
Repository = Annotated[Path, typer.Option("--models", help="Triton model repository.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="The installed models.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("check")(check_models)
    app.add_typer(group, name="models")
    app.command()(analyse)


def list_models(models: Repository = REPOSITORY, as_json: Json = False) -> None:
    """List the models by their cards."""
    from inference.card import load_all

    cards = load_all(models).values()
    if as_json:
        rows = [
            {"model": c.key, "name": c.name, "version": c.version, "device_uid": c.device_uid}
            for c in cards
        ]
        out.print_json(json.dumps(rows))
        return
    table = Table("model", "name", "version", "qualification", "segments", "device UID")
    for card in cards:
        segments = ", ".join(segment.label for segment in card.segments)
        table.add_row(
            card.key, card.name, card.version, card.content_qualification, segments, card.device_uid
        )
    out.print(table)


def check_models(models: Repository = REPOSITORY) -> None:
    """Check every card and the digests of its weights.

    Raises
    ------
    typer.Exit
        A card or a weight file is wrong (exit code 1).
    """
    from inference.card import check_weights, load_all
    from inference.errors import CardInvalid

    try:
        for card in load_all(models).values():
            check_weights(card)
            out.print(f"[green]ok[/] {card.name} {card.version}")
    except CardInvalid as error:
        err.print(str(error), highlight=False)
        raise typer.Exit(1) from error


def analyse(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    folder: Annotated[Path, typer.Argument(help="Folder with the DICOM files of one series.")],
    to: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    models: Repository = REPOSITORY,
    prior: Annotated[
        list[str] | None,
        typer.Option(help="An earlier series to compare with, NAME=FOLDER by a prior of the card."),
    ] = None,
) -> None:
    """Run a model on a folder, without a node: DICOM in, results and pictures out.

    Raises
    ------
    typer.Exit
        The model is unknown, or the series cannot be analysed (exit code 1).
    """
    from inference.card import load_all
    from inference.errors import InferenceError

    cards = load_all(models)
    if model not in cards:
        err.print(f"no model {model}; there are: {', '.join(cards) or 'none'}")
        raise typer.Exit(1)
    to.mkdir(parents=True, exist_ok=True)
    try:
        _analyse(cards[model].folder, folder, to, _priors(prior or (), cards[model]))
    except InferenceError as error:
        err.print(str(error), highlight=False)
        raise typer.Exit(1) from error


def _priors(told: Sequence[str], card: "Card") -> "dict[str, Series | str]":
    from inference.volume import read_series

    names = {one.name for one in card.priors}
    found: dict[str, Series | str] = {}
    for one in told:
        name, _, folder = one.partition("=")
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            err.print(f"--prior {one}: the card has no prior {name}; it has: {known}")
            raise typer.Exit(1)
        found[name] = read_series(
            path for path in sorted(Path(folder).rglob("*")) if path.is_file()
        )
    return found


def _analyse(model: Path, folder: Path, to: Path, priors: "Mapping[str, Series | str]") -> None:
    from inference.analysis import analyse as run
    from inference.card import load
    from inference.context import Context
    from inference.rendering import overlay, png
    from inference.results import gate
    from inference.results.objects import Equipment, ResultRequest
    from inference.results.set import build, write
    from inference.server import InProcessServer
    from inference.telling import told
    from inference.volume import load_volume, read_series

    card = load(model)
    series = read_series(sorted(path for path in folder.rglob("*") if path.is_file()))
    inputs = {card.inputs[0].name: series}
    result = run(card, inputs, Context(), priors, server=InProcessServer(model.parent))
    created: datetime = at(SystemClock().now()).astimezone(UTC)
    equipment = Equipment(
        model_name="Overread",
        device_serial_number="analyse",
        software_versions=(version("overread"),),
    )
    objects = build(result, ResultRequest(equipment=equipment, created=created))
    gate.check(objects, series)
    for stored in write(objects, to):
        out.print(f"{stored.kind}  {stored.path}")
    (to / OVERLAY).write_bytes(overlay(load_volume(series), result))
    for number, picture in enumerate(result.pictures, start=1):
        (to / key_slice(number)).write_bytes(png(picture.pixels))
    for one in told(result):
        out.print(str(one), highlight=False)

"""``overread ledger``: the double-entry account of everything that was acknowledged."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from node import bootstrap
from node.cli.app import CONFIG, Config, Json, err, load, out
from node.core.ledger import Balance
from node.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(ledger)


def ledger(
    config: Config = CONFIG,
    verify: Annotated[bool, typer.Option(help="Also read every file and hash it.")] = False,
    as_json: Json = False,
) -> None:
    """Hold the journal of acknowledged instances against records, files and work.

    Raises
    ------
    typer.Exit
        They differ (exit code 1).
    """
    balance = _watched(load(config), verify)
    if as_json:
        out.print_json(json.dumps(as_body(balance)))
    else:
        out.print(_table(balance))
        out.print(f"{balance.acknowledged} acknowledged, {balance.accounted} accounted for")
        for difference in balance.differences:
            err.print(str(difference), highlight=False)
        untold = balance.found - len(balance.differences)
        if untold:
            err.print(f"and {untold} differences more")
    if not balance.adds_up:
        raise typer.Exit(1)


def as_body(balance: Balance) -> dict[str, object]:
    """Return a balance for ``--json``."""
    told = [{**asdict(one), "sentence": str(one)} for one in balance.differences]
    return {**asdict(balance), "adds_up": balance.adds_up, "differences": told}


def _watched(settings: Settings, verify: bool) -> Balance:
    from node.store.ledger import balance

    database, root = bootstrap.database(settings), bootstrap.files(settings).root
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} files"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        files = progress.add_task("files", total=None)
        return balance(
            database,
            root,
            verify=verify,
            young_s=settings.ledger.young_s,
            progress=lambda count: progress.advance(files, count),
        )


def _table(balance: Balance) -> Table:
    table = Table("account", "left", "count", "right", "count ", title="Ledger")
    _rows(table, "C-STOREs answered Success", balance.journal, {})
    _rows(table, "instances", {"stored": balance.journal["stored"]}, balance.instances)
    for name, counts in (
        ("jobs", balance.jobs),
        ("deliveries", balance.deliveries),
        ("withdrawals", balance.withdrawals),
    ):
        states = {state: count for state, count in counts.items() if state != "ordered"}
        _rows(table, name, {"ordered": counts["ordered"]}, states)
    return table


def _rows(table: Table, name: str, left: Mapping[str, int], right: Mapping[str, int]) -> None:
    sides = [list(left.items()), list(right.items())]
    for number in range(max(len(side) for side in sides)):
        cells = [
            cell
            for side in sides
            for cell in (map(str, side[number]) if number < len(side) else ("", ""))
        ]
        table.add_row("" if number else name, *cells)
    table.add_section()

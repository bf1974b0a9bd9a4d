"""``overread retention``: what may be deleted, and deleting it."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from node import bootstrap
from node.cli.app import CONFIG, Config, Json, load, out
from node.clock import at
from node.pipeline.expire import Expired, expire


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(retention)


def retention(
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Delete it.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what the settings let go, or say what that would be.

    Raises
    ------
    typer.BadParameter
        Neither or both of ``--dry-run`` and ``--run``: nothing is deleted by mistake.
    """
    if dry_run == run:
        raise typer.BadParameter("expected one of --dry-run and --run")
    settings = load(config)
    done = expire(bootstrap.retention_store(settings), settings.retention_policy, dry=dry_run)
    if as_json:
        out.print_json(json.dumps(as_body(done, dry=dry_run)))
        return
    table = Table("series", "instances", "MB", "because", "since")
    for holding, verdict in done.series:
        since = at(verdict.due_at or 0.0).strftime("%Y-%m-%d %H:%M")
        size = f"{holding.size / 1e6:.1f}"
        cells = (holding.series_instance_uid, str(holding.instances), size, verdict.reason, since)
        table.add_row(*cells)
    out.print(table)
    verb = "would go" if dry_run else "gone"
    out.print(f"{done.instances} instances in {len(done.series)} series {verb}", highlight=False)
    for reason, count in sorted(done.kept.items()):
        out.print(f"{count} series kept: {reason}", highlight=False)


def as_body(done: Expired, *, dry: bool) -> dict[str, object]:
    """Return a run for ``--json``."""
    series = [
        {
            "series_instance_uid": holding.series_instance_uid,
            "study_instance_uid": holding.study_instance_uid,
            "instances": holding.instances,
            "bytes": holding.size,
            **asdict(verdict),
        }
        for holding, verdict in done.series
    ]
    return {"dry_run": dry, "series": series, "kept": dict(done.kept)}

"""What the rules say about a study, before anything is changed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from node import bootstrap
from node.cli.app import CONFIG, Config, Json, err, load, out
from node.clock import SystemClock
from node.core.replay import Replayed
from node.core.replay import replay as judge
from node.pipeline.trial import Tried, try_series
from node.store.overview import Overview
from node.store.past import past_studies

rules = typer.Typer(help="Try the rules on what was received.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(rules, name="rules")


@rules.command("test")
def try_study(
    study: Annotated[str, typer.Argument(help="A study of the node, or a folder of DICOM files.")],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Show, series by series and rule by rule, which criteria hold.

    Raises
    ------
    typer.Exit
        There is no such study or folder.
    """
    settings = load(config)
    routes = bootstrap.routes(settings)
    if Path(study).is_dir():
        from node.dicom.folder import facts_of

        found: Mapping[str, Mapping[str, Any]] = facts_of(Path(study), routes.keys)
    else:
        overview = Overview(bootstrap.database(settings))
        uid = overview.study_named(study)
        found = overview.facts(uid) if uid else {}
    if not found:
        err.print(f"no folder with images, and no study, is called {study}")
        raise typer.Exit(1)
    tried = [try_series(uid, facts, routes) for uid, facts in found.items()]
    if as_json:
        out.print_json(json.dumps([_plain(one) for one in tried]))
        return
    for one in tried:
        out.print(f"[bold]series {one.series_instance_uid}[/]")
        if one.excluded:
            out.print(f"  excluded, {one.excluded}", highlight=False)
        for rule in one.rules:
            word = "fires" if rule.fires else "does not fire"
            out.print(f"  rule {rule.name}: {word}", highlight=False, markup=False)
            for words, holds in rule.checks:
                sign = "yes" if holds else "no "
                out.print(f"    {sign}  {words}", highlight=False, markup=False)


def _plain(one: Tried) -> dict[str, Any]:
    return {
        "series_instance_uid": one.series_instance_uid,
        "excluded": one.excluded,
        "rules": [
            {
                "rule": rule.name,
                "fires": rule.fires,
                "checks": [{"criterion": words, "holds": holds} for words, holds in rule.checks],
            }
            for rule in one.rules
        ],
    }


@rules.command()
def replay(
    since: Annotated[str, typer.Option(help="How far back, as in 7d, 12h or 30m.")] = "7d",
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Ask the rules of a configuration about everything dispatched, and tell what would be otherwise.

    Raises
    ------
    typer.Exit
        `since` is not understood.
    """
    seconds = _seconds(since)
    if seconds is None:
        err.print(f"--since {since}: expected a number and d, h or m, as in 7d")
        raise typer.Exit(2)
    settings = load(config)
    routes = bootstrap.routes(settings)
    begin = SystemClock().now() - seconds
    studies = past_studies(bootstrap.database(settings), begin)
    found = [
        one
        for study in studies
        for one in judge(study, routes.criteria, routes.quiet_of(study.peer).long_s, begin)
    ]
    series = len({one.series_instance_uid for one in found})
    changes = Counter(one.change for one in found if one.model is not None)
    if as_json:
        rows = [asdict(one) for one in found]
        out.print_json(
            json.dumps({
                "studies": len(studies),
                "series": series,
                **_totals(changes),
                "rows": rows,
            })
        )
        return
    changed = [one for one in found if one.change != "same"]
    if changed:
        out.print(_table(changed))
    out.print(
        f"{len(studies)} studies, {series} series; jobs: {changes['same']} the same, "
        f"{changes['new job']} new, {changes['no job any more']} no more",
        highlight=False,
    )


def _totals(changes: Counter[str]) -> dict[str, int]:
    return {key.replace(" ", "_"): changes[key] for key in ("same", "new job", "no job any more")}


def _table(found: Sequence[Replayed]) -> Table:
    columns = ("change", "study_instance_uid", "series_instance_uid", "model", "was", "would")
    table = Table(*columns)
    for one in found:
        table.add_row(*(str(getattr(one, column) or "") for column in columns))
    return table


def _seconds(text: str) -> float | None:
    unit = {"d": 86_400, "h": 3_600, "m": 60}.get(text[-1:])
    return float(text[:-1]) * unit if unit and text[:-1].isdecimal() else None

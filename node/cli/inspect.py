"""What people ask of a running node: studies, jobs, deliveries, one study's story."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from node import bootstrap
from node.cli.app import CONFIG, Config, Json, err, load, out
from node.cli.explain import routing_lines, routing_of
from node.clock import at
from node.store.deliveries import FINAL
from node.store.overview import Overview, Row


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (
        studies,
        jobs,
        deliveries,
        destinations,
        withdrawals,
        commitments,
        explain,
        retry,
    ):
        app.command()(command)


def studies(config: Config = CONFIG, as_json: Json = False) -> None:
    """List the newest studies."""
    rows = _overview(config).studies()
    _show(rows, ("study_instance_uid", "peer", "last_at", "series", "instances", "jobs"), as_json)


def jobs(config: Config = CONFIG, as_json: Json = False) -> None:
    """List the newest jobs with their state and reason."""
    columns = ("job_id", "study_instance_uid", "model", "version", "state", "reason", "created_at")
    _show(_overview(config).jobs(), columns, as_json)


def deliveries(
    config: Config = CONFIG,
    as_json: Json = False,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only those that somebody has to look at.")
    ] = False,
) -> None:
    """List the newest deliveries with their state and reason."""
    columns = ("delivery_id", "destination", "state", "reason", "attempts", "due_at")
    overview = _overview(config)
    _show(overview.dead_letters() if parked else overview.deliveries(), columns, as_json)


def destinations(config: Config = CONFIG, as_json: Json = False) -> None:
    """List the destinations: whether each answers, what waits for it, what is parked."""
    columns = (
        "destination",
        "state",
        "reason",
        "failures",
        "due_at",
        "owed",
        "oldest_at",
        "parked",
    )
    _show(_overview(config).destinations(), columns, as_json)


def withdrawals(config: Config = CONFIG, as_json: Json = False) -> None:
    """List the newest withdrawals: what a destination is to take back, and because of what."""
    columns = ("withdrawal_id", "destination", "cause", "state", "reason", "attempts", "due_at")
    _show(_overview(config).withdrawals(), columns, as_json)


def commitments(config: Config = CONFIG, as_json: Json = False) -> None:
    """List the newest requests for Storage Commitment, and whether the peer has its report."""
    columns = ("commitment_id", "peer", "state", "reason", "attempts", "asked_at", "due_at")
    _show(_overview(config).commitments(), columns, as_json)


def explain(
    study: Annotated[
        str, typer.Argument(help="Study Instance UID, its beginning, or accession number.")
    ],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Tell what happened to a study, and why.

    Raises
    ------
    typer.Exit
        No study, or more than one, is meant.
    """
    overview = _overview(config)
    uid = overview.study_named(study)
    if uid is None:
        err.print(f"no study, or more than one, is called {study}")
        raise typer.Exit(1)
    story = _story(overview, uid)
    if as_json:
        out.print_json(json.dumps(story))
        return
    out.print(f"[bold]study {uid}[/]")
    for line in story["story"]:
        told = f"  {_time(line['at'])}  {line['what']:<22} {line['detail']}"
        out.print(told, highlight=False, markup=False)
    for line in routing_lines(story):
        out.print(f"  {line}", highlight=False, markup=False)
    for job in story["jobs"]:
        _print_job(job)
    _print_results(story)


def retry(
    parked: Annotated[
        str,
        typer.Argument(help="Identifier of a parked delivery, withdrawal or commitment."),
    ] = "",
    all_parked: Annotated[
        bool, typer.Option("--parked", help="Every parked delivery instead of one.")
    ] = False,
    destination: Annotated[
        str, typer.Option(help="With --parked: only those to this destination.")
    ] = "",
    config: Config = CONFIG,
) -> None:
    """Owe a parked delivery, withdrawal or report of Storage Commitment again, or every parked delivery.

    Raises
    ------
    typer.Exit
        Nothing that may be owed again is parked under this identifier; or neither one nor all are meant.
    """
    if all_parked == bool(parked) or (destination and not all_parked):
        err.print("name one that is parked, or all of them by --parked")
        raise typer.Exit(2)
    if all_parked:
        count = bootstrap.all_parked(load(config))(destination or None)
        out.print(f"{count} deliveries are owed again")
        return
    if not any(owe_again(parked) for owe_again in bootstrap.parked(load(config))):
        err.print(f"{parked} is not a parked delivery, withdrawal or commitment")
        raise typer.Exit(1)
    out.print(f"{parked} is owed again")


def _story(overview: Overview, uid: str) -> dict[str, Any]:
    found = overview.jobs(uid)
    return {
        "study_instance_uid": uid,
        "story": overview.story(uid),
        **routing_of(overview, uid),
        "jobs": [{**row, "context": _context(overview, row["job_id"])} for row in found],
        "identity": overview.identity_checks(uid),
        "results": overview.results(uid),
        "deliveries": overview.deliveries(uid),
        "withdrawals": overview.withdrawals(uid),
    }


def _context(overview: Overview, job_id: str) -> dict[str, Any]:
    # which values were known, and why others were not: the values themselves stay in the record
    context = overview.context(job_id)
    return {
        "used": sorted(context.get("values", {})),
        "missing": context.get("missing", {}),
        "refused": context.get("refused"),
    }


def _print_job(job: Row) -> None:
    why = f" ({job['reason']}: {job['detail']})" if job["reason"] else ""
    out.print(f"  job {job['model']} {job['version']}: {job['state']}{why}", highlight=False)
    context = job["context"]
    words = (
        f"refused, {context['refused']}"
        if context["refused"]
        else ", ".join(context["used"]) or "none"
    )
    out.print(f"    context: {words}", highlight=False)
    if job["seconds"]:
        stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in job["seconds"].items())
        out.print(f"    on {job['server']}: {stages}", highlight=False)


def _print_results(story: Mapping[str, Any]) -> None:
    for check in story["identity"]:
        words = ": ".join(filter(None, (check["reason"], check["detail"])))
        told = f"  identity before sending, {check['model']}: {check['state']}"
        out.print(f"{told} ({words})" if words else told, highlight=False, markup=False)
    for result in story["results"]:
        key = result["result_set_id"]
        takers = [one["destination"] for one in story["deliveries"] if one["result_set_id"] == key]
        whose = f" for {', '.join(sorted(takers))}" if takers else ""
        why = f" ({result['reason']})" if result["reason"] else ""
        told = f"  result {key} as {result['profile']}{whose}: {result['state']}{why}"
        out.print(told, highlight=False, markup=False)
    for delivery in story["deliveries"]:
        _print_work(f"delivery to {delivery['destination']}", delivery, delivery["delivery_id"])
    for wrong in story["withdrawals"]:
        what = f"withdrawal from {wrong['destination']}, {wrong['cause']}"
        _print_work(what, wrong, wrong["withdrawal_id"])


def _print_work(what: str, row: Row, key: str) -> None:
    why = f" ({row['reason']}: {row['detail'] or ''})" if row["reason"] else ""
    if row["state"] == "PARKED" and row["reason"] not in FINAL:
        why += f"; once mended: overread retry {key}"
    out.print(f"  {what}: {row['state']}{why}", highlight=False)


def _overview(config: Any) -> Overview:
    return Overview(bootstrap.database(load(config)))


def _show(rows: Sequence[Row], columns: Sequence[str], as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(rows))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    out.print(table)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return _time(value) if column.endswith("_at") else str(value)


def _time(seconds: float) -> str:
    moment: datetime = at(seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

"""The study's journey in the demo: sent, waited for, shown."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from integrations.pacs.query import DicomArchiveIndex
from node import bootstrap
from node.core.pictures import KEY_SLICES
from node.demo import modality
from node.demo.ehr import ask
from node.demo.hospital import ARCHIVE, Hospital
from node.demo.processes import DemoFailed, listens, wait_until
from node.store.overview import Overview, Row

READY_S = 90.0
ANALYSED_S = 180.0
PICTURE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What arrived at the end of the journey.

    Parameters
    ----------
    job, deliveries
        As the node's overview tells them.
    objects
        Kind and SOP Instance UID of each result that the archive lists.
    report
        The DiagnosticReport as the EHR gives it; None when there is none.
    """

    job: Row
    deliveries: Sequence[Row]
    objects: Sequence[tuple[str, str]]
    report: dict[str, Any] | None
    report_url: str


def travel(hospital: Hospital, console: Console) -> Arrival:
    """Send the head and wait until its results have arrived.

    Raises
    ------
    DemoFailed
        A part did not answer in time, or the job was canceled.
    """
    overview = Overview(bootstrap.database(hospital.settings))
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console) as progress:
        _get_ready(hospital, progress)
        _send(hospital, progress)
        _wait(overview, progress)
    return _arrival(hospital, overview)


def _get_ready(hospital: Hospital, progress: Progress) -> None:
    settings = hospital.settings
    ports = [settings.listener.port, settings.web.port, settings.inference.grpc_port]
    task = progress.add_task("node and Triton get ready", total=len(ports))
    for port in ports:
        if port == settings.inference.grpc_port and not _triton_installed():
            progress.advance(task)
            continue
        _wait_for_port(hospital, port)
        progress.advance(task)


def _wait_for_port(hospital: Hospital, port: int) -> None:
    log = hospital.folder / "node.log"
    wait_until(
        lambda: hospital.node.poll() is not None or listens(port),
        timeout_s=READY_S,
        what=f"port {port}; see {log}",
    )
    if hospital.node.poll() is not None:
        raise DemoFailed(f"the node ended; see {log}")


def _triton_installed() -> bool:
    from inference.triton import installed

    return installed()


def _send(hospital: Hospital, progress: Progress) -> None:
    archive = hospital.settings.peer_named("archive")
    for called, port in (
        (ARCHIVE, archive.port or 0),
        ("OVERREAD", hospital.settings.listener.port),
    ):
        _send_to(called, port, progress)


def _send_to(called: str, port: int, progress: Progress) -> None:
    files = modality.images()
    task = progress.add_task(f"modality sends to {called}", total=len(files))
    modality.send(files, called=called, port=port, sent=lambda: progress.advance(task))


def _wait(overview: Overview, progress: Progress) -> None:
    steps = ("series complete", "context read", "analysed", "delivered")
    task = progress.add_task("Overread reads the study", total=len(steps))

    def done() -> bool:
        jobs, deliveries = overview.jobs(), overview.deliveries()
        job = jobs[0] if jobs else None
        reached = [
            job is not None,
            job is not None and job["ready_at"] is not None,
            job is not None and job["result_set_id"] is not None,
            bool(deliveries) and all(row["ended_at"] for row in deliveries),
        ]
        progress.update(task, completed=sum(reached))
        return all(reached) or (job is not None and job["state"] == "CANCELED")

    wait_until(done, timeout_s=ANALYSED_S, what="the results")


def _arrival(hospital: Hospital, overview: Overview) -> Arrival:
    job = overview.jobs()[0]
    if job["result_set_id"] is None:
        raise DemoFailed(f"the job was canceled: {job['reason']}: {job['detail']}")
    peer = bootstrap.dicom_peer(hospital.settings, hospital.settings.peer_named("archive"))
    index = DicomArchiveIndex(peer)
    objects = [
        (row["kind"], row["sop_instance_uid"])
        for row in overview.result_instances(job["result_set_id"])
        if row["sop_instance_uid"]
        in index.instances(job["study_instance_uid"], row["series_instance_uid"])
    ]
    deliveries = overview.deliveries()
    written = [
        reference
        for row in deliveries
        for reference in (row["receipt"] or {}).get("references", ())
        if str(reference).startswith("DiagnosticReport/")
    ]
    url = f"{hospital.ehr_url}/{written[0]}" if written else ""
    report = ask(url) if url else None
    return Arrival(job=job, deliveries=deliveries, objects=objects, report=report, report_url=url)


def show(hospital: Hospital, arrival: Arrival, console: Console) -> bool:
    """Show what arrived; tell whether it is everything that was expected."""
    overview = Overview(bootstrap.database(hospital.settings))
    context = overview.context(arrival.job["job_id"]).get("values", {})
    told = ", ".join(f"{name} {value['value']}" for name, value in context.items())
    lines = [
        ("In the archive", hospital.archive),
        *((f"  {kind}", uid) for kind, uid in arrival.objects),
        ("In the EHR", arrival.report_url or "nothing"),
        ("  report", (arrival.report or {}).get("conclusion", "none")),
        ("  context used", told or "none"),
        ("Ran on", arrival.job["server"]),
        *(("Picture", str(picture)) for picture in _pictures(hospital, arrival)),
    ]
    console.print("\n[bold]What arrived[/]")
    for name, value in lines:
        console.print(f"  {name:<16} {value}", highlight=False)
    console.print()
    console.print(_times(overview, arrival))
    kinds = {kind for kind, _ in arrival.objects}
    return {"SEG", "SR"} <= kinds and arrival.report is not None


def _pictures(hospital: Hospital, arrival: Arrival) -> list[Path]:
    drawn = bootstrap.files(hospital.settings).root / arrival.job["picture"]
    shown = drawn.with_name(KEY_SLICES)
    wait_until(shown.is_file, timeout_s=PICTURE_S, what="the pictures")  # written last
    names = [drawn.name, *(one["file"] for one in json.loads(shown.read_text(encoding="utf-8")))]
    return [Path(shutil.copy(drawn.with_name(name), hospital.folder / name)) for name in names]


def _times(overview: Overview, arrival: Arrival) -> Table:
    job = arrival.job
    series = overview.series(job["study_instance_uid"])[0]
    archive = next(row for row in arrival.deliveries if row["destination"] == "archive")
    moments = (
        ("last image to complete (quiet time)", series["last_at"], series["closed_at"]),
        ("routed", series["closed_at"], job["created_at"]),
        ("context read, bell rung, claimed", job["created_at"], job["claimed_at"]),
        ("analysed, results stored", job["claimed_at"], job["ended_at"]),
        ("delivered to the archive, confirmed", job["ended_at"], archive["ended_at"]),
    )
    table = Table("from the last image to the archive", "seconds", title_justify="left")
    for name, begun, ended in moments:
        table.add_row(name, f"{ended - begun:.2f}")
        if name.startswith("analysed"):
            for stage, seconds in job["seconds"].items():
                label = "  of which in the networks" if stage == "forward" else f"  {stage}"
                table.add_row(f"[dim]{label}[/]", f"[dim]{seconds:.2f}[/]")
    table.add_row("[bold]sum[/]", f"[bold]{archive['ended_at'] - series['last_at']:.2f}[/]")
    return table


def summary(arrival: Arrival) -> str:
    """Return the arrival as one JSON line, for scripts."""
    return json.dumps({
        "objects": [list(item) for item in arrival.objects],
        "report": arrival.report_url,
        "conclusion": (arrival.report or {}).get("conclusion"),
        "server": arrival.job["server"],
        "seconds": arrival.job["seconds"],
    })

"""A node with a million instances on record against an empty one: speed, and database calls per image."""

import contextlib
import os
import sqlite3
import statistics
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.wire import MR_IMAGE, SUCCESS, Association, Image, echo_within, minimal

LEAST, MOST = 0.85, 1.15
IMAGES = 200
PER_SERIES = 200
RECORDED_S = 30.0
"""After its answer an image is on record long before."""

COUNTING = """
    import os, sqlite3, sqlite3.dbapi2
    _counted = os.open(os.environ["COUNT_STATEMENTS"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    _real = sqlite3.dbapi2.connect
    _FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
    def _note(statement):
        if not statement.lstrip().upper().startswith(_FRAME) and not statement.startswith("--"):
            os.write(_counted, b".")
    def _connect(*arguments, **named):
        connection = _real(*arguments, **named)
        connection.set_trace_callback(_note)
        return connection
    sqlite3.connect = sqlite3.dbapi2.connect = _connect
"""
"""Joins every Python process as ``sitecustomize``; one byte for each statement, transactions' frames aside."""


def million(folder: Path, rows: int, runs: int) -> tuple[dict[str, float], list[str]]:
    """Compare the two nodes in turn; tell ratio, calls, and what does not hold.

    Raises
    ------
    RuntimeError
        An image was not answered Success.
    """
    with contextlib.ExitStack() as stack:
        sites = {
            name: stack.enter_context(running_site(folder / name, Plan(peers=[_source()])))
            for name in ("empty", "full")
        }
        prepared = [_prepare(site, rows if name == "full" else 0) for name, site in sites.items()]
        counters = dict(zip(sites, prepared, strict=True))
        pairs = [{name: _speed(site, run) for name, site in sites.items()} for run in range(runs)]
        calls = {name: _calls(site, counters[name]) for name, site in sites.items()}
    ratios = [pair["full"] / pair["empty"] for pair in pairs]
    ratio = statistics.median(ratios)
    print(f"\n{rows} instances on record: {ratio:.2f} of the empty node's speed", end="")
    print(f" ({min(ratios):.2f} to {max(ratios):.2f}); database calls per image {calls}")
    faults = [] if LEAST <= ratio <= MOST else [f"{rows} on record: ratio {ratio:.2f}"]
    if calls["empty"] != calls["full"]:
        faults.append(f"{rows} on record: database calls per image {calls}")
    return {"ratio": round(ratio, 3), **{f"calls, {n}": c for n, c in calls.items()}}, faults


def fill(database: Path, rows: int) -> None:
    """Put plausible records of `rows` instances into a migrated database, 200 to a series."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, values in _records(rows):
            columns = ", ".join(values)
            numbers = (
                "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)"
            )
            count = rows if table in {"instance", "journal"} else max(1, rows // PER_SERIES)
            connection.execute(
                f"insert into {table} ({columns}) {numbers} "  # noqa: S608 - our own words
                f"select {', '.join(values.values())} from n",
                (count,),
            )


def _records(rows: int) -> Iterator[tuple[str, dict[str, str]]]:
    study, series = "'2.25.7' || (i / 200)", "'2.25.8' || (i / 200)"
    own_study, own_series = "'2.25.7' || i", "'2.25.8' || i"
    digest = "printf('%064x', i)"
    path = f"'instances/' || {study} || '/' || {series} || '/' || i || '.dcm'"
    if not rows:
        return
    yield "study", {
        "study_instance_uid": own_study, "peer": "'modality'", "identity": "'{}'",
        "facts": "'{}'", "first_at": "1e9 + i", "last_at": "1e9 + i",
    }  # fmt: skip
    yield "series", {
        "series_instance_uid": own_series, "study_instance_uid": own_study,
        "peer": "'modality'", "state": "'COMPLETE'", "identity": "'{}'", "facts": "'{}'",
        "last_at": "1e9 + i", "closed_at": "1e9 + i", "dispatched_at": "1e9 + i",
    }  # fmt: skip
    yield "instance", {
        "sop_instance_uid": "'2.25.9' || i", "series_instance_uid": series,
        "study_instance_uid": study, "sop_class_uid": f"'{MR_IMAGE}'",
        "transfer_syntax_uid": "'1.2.840.10008.1.2.1'", "association_id": "printf('%032x', i / 200)",
        "path": path, "size": "131072", "digest": digest,
        "geometry": """'{"ImagePositionPatient": [0, 0, ' || (i % 200) || ']}'""",
        "received_at": "1e9 + i",
    }  # fmt: skip
    yield "journal", {
        "at": "1e9 + i", "sop_instance_uid": "'2.25.9' || i", "outcome": "'stored'", "path": path,
        "digest": digest, "peer": "'modality'", "association_id": "printf('%032x', i / 200)",
    }  # fmt: skip


def _source() -> dict[str, object]:
    return peer_source(results_to=[])


def _prepare(site: Site, rows: int) -> Path:
    """Migrate, fill, and start a listener that counts; return the file of its counts."""
    if site.cli("ledger").returncode != 0:
        raise RuntimeError(f"the database cannot be made: {site.folder}")
    fill(site.data / "overread.db", rows)
    hook, counts = site.folder / "hook", site.folder / "statements"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(textwrap.dedent(COUNTING))
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = f"{hook}{os.pathsep}{before.get('PYTHONPATH', '')}".rstrip(
        os.pathsep
    )
    os.environ["COUNT_STATEMENTS"] = str(counts)
    try:
        site.start("listener")
    finally:
        os.environ.clear()
        os.environ.update(before)
    site.wait(lambda: echo_within(site.port, 5), "an echo")
    return counts


def _speed(site: Site, run: int) -> float:
    """Return images per second, until the last one is on record."""
    pixels = bytes(128 * 1024)
    images = [minimal(MR_IMAGE, run * 10_000 + number, pixels) for number in range(IMAGES)]
    with Association(site.port) as association:
        began = time.perf_counter()
        for number, image in enumerate(images, start=1):
            if association.store(image, number) != SUCCESS:
                raise RuntimeError(f"an image was refused: {site.folder}")
        _wait_recorded(site, images[-1])
        return IMAGES / (time.perf_counter() - began)


def _calls(site: Site, counts: Path) -> float:
    """Count the statements of one image more in the middle of an association, each recorded for itself."""
    with Association(site.port) as association:
        images = [minimal(MR_IMAGE, 10**9 + number) for number in range(51)]
        before = 0
        for number, image in enumerate(images, start=1):
            association.store(image, number)
            _wait_recorded(site, image)
            before = before or counts.stat().st_size
        return round((counts.stat().st_size - before) / 50, 1)


def _wait_recorded(site: Site, image: Image) -> None:
    question = "select 1 from instance where sop_instance_uid = ?"
    deadline = time.monotonic() + RECORDED_S
    while not site.rows(question, image.sop_instance_uid):
        if time.monotonic() > deadline:
            raise RuntimeError(f"an image is not recorded: {site.folder}")
        time.sleep(0.002)

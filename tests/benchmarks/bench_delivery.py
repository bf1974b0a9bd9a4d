"""A thousand results for five destinations at once, and what a worker holds meanwhile: `make bench-delivery`.

Two archives that are read back, one with Storage Commitment, a FHIR server and a receiver of HL7. Worker and
keeper are processes of their own, and none of them is started anew.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.site import DELIVER, Plan, Site, peer_archive, peer_source, running_site
from tests.benchmarks.ingest_memory import resident_mb
from tests.contract.stores import opened
from tests.peers.committer import running_committer
from tests.peers.engine import running_engine
from tests.peers.ready import Ready
from tests.peers.sekmet import MRN_SYSTEM, running_sekmet
from tests.unit.integrations.samples import ISSUER, colin

ARCHIVES = ("pacs", "research", "backup")
NAMES = (*ARCHIVES, "ehr", "engine")
RESULTS = 1000
WARM = 0.5
"""Of the deliveries: until then what a process holds climbs, ever less; the table shows the way there."""
LONGEST_S = 3600.0
EVERY_S = 0.5
BOUND_MB = 2.0
"""By so much a process may grow over 1,000 deliveries."""


@dataclass(kw_only=True)
class Measured:
    """What a worker and a keeper held in the course of a run.

    Parameters
    ----------
    samples
        Of each process: after how many deliveries it held how many MB.
    seconds
        From the first delivery to the last.
    """

    samples: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0

    def figures(self, name: str) -> dict[str, float]:
        """Return in MB what a process held: first, once it was warm, at the end, at most; and its slope."""
        samples = self.samples[name]
        last, end = samples[-1]
        warm = [one for one in samples if one[0] >= last * WARM]
        done, held = zip(*warm, strict=True)
        slope = statistics.linear_regression(done, held).slope * 1000
        told = {
            "start_mb": samples[0][1],
            "warm_mb": held[0],
            "end_mb": end,
            "peak_mb": max(mb for _, mb in samples),
            "mb_per_1000_deliveries": slope,
        }
        return {key: round(value, 2) for key, value in told.items()}

    def table(self) -> Iterator[str]:
        """Give lines: what each process held after each tenth of the deliveries."""
        yield "deliveries  " + "".join(f"{name:>12}" for name in self.samples)
        for tenth in range(1, 11):
            bound = self.deliveries * tenth / 10
            held = [next(mb for done, mb in one if done >= bound) for one in self.samples.values()]
            yield f"{bound:10.0f}  " + "".join(f"{mb:9.1f} MB" for mb in held)

    @property
    def deliveries(self) -> int:
        """How many there were."""
        return next(iter(self.samples.values()))[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A site with five destinations."""

    site: Site
    ready: Ready

    def delivered(self) -> int:
        """Return how many deliveries their destinations have confirmed."""
        rows = self.site.rows("select count(*) from delivery where state = 'CONFIRMED'")
        return int(rows[0][0]) if rows else 0


@contextmanager
def running_hospital(folder: Path) -> Iterator[Hospital]:
    """Give a site whose destinations are well; none of its roles runs."""
    (folder / "site" / "data").mkdir(parents=True)
    with ExitStack() as stack:
        store = stack.enter_context(opened("sqlite", folder / "site" / "data"))
        sekmet = stack.enter_context(running_sekmet(folder / "sekmet"))
        sekmet.put(colin())
        engine = stack.enter_context(running_engine())
        archives = []
        for name in ARCHIVES:
            archive = stack.enter_context(running_committer(commits=name == "pacs"))
            archive.ae_title, archive.report = name.upper(), "before"
            archives.append(peer_archive(name, archive.ae_title, archive.port))
        archives[0]["commitment"] = {"linger_s": 5.0}
        ehr = {"url": sekmet.base_url, "identifier_systems": {ISSUER: MRN_SYSTEM}}
        peers: list[dict[str, Any]] = [
            peer_source(results_to=[]),
            *archives,
            {"name": "ehr", "roles": ["ehr"], "fhir": ehr},
            {
                "name": "engine",
                "roles": ["oru"],
                "oru": {"host": "127.0.0.1", "port": engine.port},
            },
        ]
        plan = Plan(peers=peers, rules=[])
        site = stack.enter_context(running_site(folder / "site", plan))
        yield Hospital(site=site, ready=Ready(store, site.data / "files"))


def measure(folder: Path, results: int) -> Measured:
    """Owe results, let a worker deliver them, and look all the time what it holds.

    Raises
    ------
    TimeoutError
        They did not all arrive.
    """
    measured = Measured()
    with running_hospital(folder) as hospital:
        for _ in range(results):  # before a keeper runs, which would close and dispatch them itself
            hospital.ready.publish(NAMES)
        owed = results * len(NAMES)
        site = hospital.site
        processes = {"keeper": site.start("keeper"), "worker": site.start(*DELIVER)}
        site.wait(hospital.delivered, "the first delivery")
        measured.samples = {name: [] for name in processes}
        begun, looked = time.monotonic(), 0.0

        def all_arrived() -> bool:
            nonlocal looked
            done = hospital.delivered()
            if time.monotonic() - looked > EVERY_S or done == owed:
                looked = time.monotonic()
                for name, process in processes.items():
                    measured.samples[name].append((done, resident_mb(process.pid)))
            return done == owed

        site.wait(all_arrived, "all results", LONGEST_S)
        measured.seconds = time.monotonic() - begun
    return measured


def main() -> int:
    """Print a table, and one line of JSON at its end; 1 when a process grows."""
    results = int(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), results)
    figures = {name: measured.figures(name) for name in measured.samples}
    print("\n".join(measured.table()))
    for name, told in figures.items():
        print(f"{name:8} " + "  ".join(f"{key} {value:8.2f}" for key, value in told.items()))
    rate = round(measured.deliveries / measured.seconds, 1)
    print(f"{measured.deliveries} deliveries in {measured.seconds:.0f} s: {rate}/s")
    grown = {name: told["mb_per_1000_deliveries"] for name, told in figures.items()}
    print(
        json.dumps({
            "deliveries": measured.deliveries,
            "deliveries_per_s": rate,
            **figures,
            "bound_mb_per_1000_deliveries": BOUND_MB,
        })
    )
    return int(any(slope > BOUND_MB for slope in grown.values()))


if __name__ == "__main__":
    raise SystemExit(main())

"""Broken peers: each costs one association and no more.

``make fuzz`` sends 20,000 cases, ``OVERREAD_CASES`` any number; ``OVERREAD_SEED`` is the number of the first.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.acceptance.mutations import case
from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.wire import MR_IMAGE, SUCCESS, Association, echo_within, minimal

CASES = int(os.environ.get("OVERREAD_CASES", "500"))
SEED = int(os.environ.get("OVERREAD_SEED", "1"))
FOUND = sorted((Path(__file__).parent / "found_by_fuzzing").glob("*.bin"))
BATCH = 100
AT_ONCE = 8
ANSWERING_S = 5.0
GROWTH_MB = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180 + CASES // 5)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path / "site", Plan(peers=[peer_source(results_to=[])])) as site:
        site.start("listener")
        # the port is open before the processes behind it are up
        site.wait(lambda: echo_within(site.port, ANSWERING_S), "an echo")
        yield site


def test_broken_peers_cost_their_own_associations(site: Site) -> None:
    processes = _family(site)
    outside = _outside(site)
    warm = 0.0
    for first in range(SEED, SEED + CASES, BATCH):
        numbers = range(first, min(first + BATCH, SEED + CASES))
        _send_all(site.port, [case(number) for number in numbers])
        assert echo_within(site.port, ANSWERING_S), f"no C-ECHO after the cases {numbers}"
        assert _family(site) == processes, f"a process ended in the cases {numbers}"
        warm = warm or _resident_mb(site)
    growth = _resident_mb(site) - warm
    print(f"{CASES} cases from {SEED}: {growth:+.1f} MB")
    assert growth <= GROWTH_MB
    assert _outside(site) == outside
    _works(site)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_fuzzing_found_stays_harmless(site: Site, path: Path) -> None:
    processes = _family(site)
    _send_all(site.port, [path.read_bytes()] * AT_ONCE)
    assert echo_within(site.port, ANSWERING_S)
    assert _family(site) == processes
    _works(site)


def _works(site: Site) -> None:
    """Whoever sends something right is served, and the books are in order."""
    with Association(site.port) as association:
        assert association.store(minimal(MR_IMAGE, 10**12), 1) == SUCCESS
    balance = site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stdout + balance.stderr
    log = site.log_of(site.processes[0])
    assert "Traceback" not in log, log[log.index("Traceback") :][:2000]


def _send_all(port: int, cases: Sequence[bytes]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda data: _send(port, data), cases))


def _send(port: int, data: bytes) -> None:
    """Send, say that nothing more comes, and wait until the listener closes, or is just as patient."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWERING_S) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except TimeoutError as error:
            raise AssertionError(f"a connection hangs: {data[:2000].hex()}") from error
        except OSError:
            pass  # an abort may come while bytes are still sent


def _family(site: Site) -> set[int]:
    first = psutil.Process(site.processes[0].pid)
    return {first.pid, *(child.pid for child in first.children(recursive=True))}


def _resident_mb(site: Site) -> float:
    return sum(psutil.Process(pid).memory_full_info().pss for pid in _family(site)) / 1e6


def _outside(site: Site) -> set[Path]:
    """Return every file around the node's data that is none of its own."""
    folders = (site.folder, site.folder.parent)
    found = {path for folder in folders for path in folder.iterdir()}
    data = {path for path in site.data.iterdir() if "-" not in path.name}
    return found | data | set((site.data / "files").iterdir())

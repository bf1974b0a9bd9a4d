"""Each destination sick while a keeper and a worker run: nobody else waits, and then everything is there, once.

Pauses are a thousandth of the shipped ones, so four seconds are more than an hour. Without
``OVERREAD_OUTAGE_HOURS`` one that hangs, and is waited for longer than this test waits for the others: whoever
waited for it would not be there in time, however busy the machine is.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from typing import Any

import pytest

from tests.acceptance.outage import (
    LYING,
    NAMES,
    WAYS,
    Destinations,
    destinations_of,
    place_of,
)
from tests.acceptance.site import DELIVER, Plan, Site, peer_archive, peer_source, running_site
from tests.contract.stores import opened
from tests.peers.ready import Ready
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.peers.sick import HANGING, WELL
from tests.unit.integrations.samples import ISSUER

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]

WHOLE = "OVERREAD_OUTAGE_HOURS" in os.environ
SHORT = [("pacs", HANGING)]
CASES = [one for one in WAYS if one != ("archive", LYING)] if WHOLE else SHORT
"""An archive that lies and does not commit is looked at again for eleven minutes before it is not believed."""
RESULTS = 24 if WHOLE else 6
EVERY_S = 0.3
LATEST_S = 120.0
"""Within which everything arrives that nobody holds up."""
PATIENCE_S = 1.0 if WHOLE else 5 * LATEST_S
LINGER_S = 1.0
SLOW_S = 0.1
"""Between two bytes: as 1 byte/s, where 10 s are waited for an answer."""
TIMES = 1.5
DELIVERY = {"backoff_first_s": 0.002, "backoff_longest_s": 0.9}


@dataclass(kw_only=True)
class Hospital:
    """A site of which a keeper and a worker that delivers run."""

    site: Site
    destinations: Destinations
    ready: Ready
    made: list[str]

    def publish(self, results: int) -> list[str]:
        """Publish results one after the other, each a while after the one before."""
        published = []
        begun = time.monotonic()
        for number in range(results):
            self.site.wait(partial(_is_over, begun + number * EVERY_S), "its turn")
            ready = self.ready.publish(NAMES, series=place_of(len(self.made)))
            self.made.append(ready.result_set_id)
            published.append(ready.result_set_id)
        return published

    def wait_settled(self, names: Sequence[str] = NAMES) -> None:
        """Wait until everything that is owed to some of them has arrived, or is over."""
        self.site.wait(lambda: self._settled(names), f"all deliveries to {names}", LATEST_S)

    def _settled(self, names: Sequence[str]) -> bool:
        return all(self.destinations.settled(name) for name in names)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, sekmet: Sekmet) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("outage")
    (folder / "site" / "data").mkdir(parents=True)
    with (
        opened("sqlite", folder / "site" / "data") as store,
        destinations_of(store, sekmet, SLOW_S) as destinations,
        running_site(folder / "site", Plan(peers=_peers(destinations), rules=[])) as site,
    ):
        ready = Ready(store, site.data / "files")
        site.start("keeper")
        site.start(*DELIVER)
        running = Hospital(site=site, destinations=destinations, ready=ready, made=[])
        running.publish(1)  # what is loaded with the first delivery is no delay of a sick one's
        running.wait_settled()
        yield running


@pytest.fixture(scope="module")
def usual(hospital: Hospital) -> list[str]:
    """Give results that were delivered while everybody was well: what the sick one's are compared with."""
    made = hospital.publish(RESULTS if WHOLE else 0)
    hospital.wait_settled()
    return made


@pytest.mark.parametrize(("name", "how"), CASES, ids=str)
def test_a_destination_that_is_sick(
    hospital: Hospital, usual: list[str], name: str, how: str | int
) -> None:
    destinations = hospital.destinations
    others = [one for one in NAMES if one != name]
    destinations.become(name, how)
    made = hospital.publish(RESULTS)
    hospital.wait_settled(others)
    assert destinations.delivered(name).isdisjoint(made)
    destinations.become(name, WELL)
    if how == 412:
        hospital.site.wait(lambda: "OWED" not in destinations.states(name), "no more attempts")
        retried = hospital.site.cli("retry", "--parked", "--destination", name)
        assert retried.returncode == 0, retried.stderr
    hospital.wait_settled()
    if WHOLE:
        seen_s, usual_s = (_percentile_s(hospital, others, one) for one in (made, usual))
        print(f"{name} {how}: {seen_s:.3f} s, {usual_s:.3f} s while all are well")
        assert seen_s <= TIMES * usual_s
    destinations.assert_all_is_there_once_and_in_order(hospital.made)


def _is_over(moment: float) -> bool:
    return time.monotonic() >= moment


def _percentile_s(hospital: Hospital, names: Sequence[str], made: Sequence[str]) -> float:
    waited = [one for name in names for one in hospital.destinations.waited_s(name, made)]
    return quantiles(waited, n=20, method="inclusive")[-1]


def _peers(destinations: Destinations) -> list[dict[str, Any]]:
    wires = destinations.wires
    archives = [
        peer_archive(name, one.ae_title, wires[name].port, timeout_s=PATIENCE_S, delivery=DELIVERY)
        for name, one in destinations.archives.items()
    ]
    archives[0]["commitment"] = {"linger_s": LINGER_S}
    ehr = {
        "name": "ehr",
        "roles": ["ehr"],
        "delivery": DELIVERY,
        "fhir": {
            "url": f"http://127.0.0.1:{wires['ehr'].port}/fhir",
            "timeout_s": PATIENCE_S,
            "identifier_systems": {ISSUER: MRN_SYSTEM},
        },
    }
    return [peer_source(results_to=[]), *archives, ehr]

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from node.bootstrap import Viewing
from node.core.pictures import KEY_SLICES, OVERLAY, key_slice
from node.store.files import FileStore
from node.store.housekeeping import LEDGER, RETENTION, HousekeepingStore
from node.store.overview import Overview
from node.store.promises import PromisedFiles
from node.telemetry import MetricName
from node.web.metrics import exposition
from node.web.server import application
from tests.contract.stores import Store, opened
from tests.unit.node.samples import SECRETS, STUDY, arrival, result_set


class Browser:
    """Asks an application without a socket."""

    def __init__(self, asked: Starlette) -> None:
        self._transport = httpx.ASGITransport(asked, raise_app_exceptions=False)

    def get(self, page: str) -> httpx.Response:
        return self.request("GET", page)

    def request(self, method: str, page: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://node.test"
            ) as client:
                return await client.request(method, page)

        return asyncio.run(ask())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened("sqlite", tmp_path) as empty:
        yield empty


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    (tmp_path / "files").mkdir()
    return FileStore(tmp_path / "files")


@pytest.fixture
def browser(store: Store, files: FileStore) -> Browser:
    viewing = Viewing(
        overview=Overview(store.database), files=files, promises=PromisedFiles(files.root)
    )
    return Browser(application(viewing))


PAGES = (
    "/",
    f"/studies/{STUDY}",
    "/api/studies",
    "/api/jobs",
    "/api/deliveries",
    "/health",
    "/metrics",
)


def test_an_empty_node_has_pages(browser: Browser) -> None:
    page = browser.get("/")
    assert page.status_code == 200
    assert "No study has arrived yet." in page.text
    assert browser.get("/api/jobs").json() == []


def fill(store: Store) -> None:
    """Let one study be delivered here, parked there, and superseded."""
    store.published(1)
    store.deliveries.park(store.claimed_delivery(), "EHR-403", "no scope")
    store.receive(8, PatientName="Muster^Erika^Maria")
    (request,) = store.dispatch()
    store.jobs.postpone_preparation(request.job_id, 60)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_and_names_no_patient(store: Store, browser: Browser, page: str) -> None:
    fill(store)
    answer = browser.get(page)
    assert answer.status_code == 200
    assert not any(secret in answer.text for secret in SECRETS)


def test_the_first_page_shows_studies_jobs_and_deliveries(store: Store, browser: Browser) -> None:
    fill(store)
    page = browser.get("/").text
    assert f'href="/studies/{STUDY}"' in page
    assert "brain-extraction 1.0.2" in page
    assert "COMPLETED" in page
    assert "EHR-403: no scope" in page


def test_a_studys_page_tells_its_story(store: Store, browser: Browser) -> None:
    fill(store)
    page = browser.get(f"/studies/{STUDY}").text
    for told in ("first instance", "series complete", "job scheduled", "claimed", "results stored"):
        assert told in page
    assert "differs in PatientName" in page


def test_what_the_night_found_is_shown_and_counted(store: Store, browser: Browser) -> None:
    diary = HousekeepingStore(store.database)
    diary.note(LEDGER, 0, 0, {"acknowledged": 7, "accounted": 7})
    diary.note(RETENTION, 0, 0, {"series": 2, "instances": 9})
    page = browser.get("/").text
    assert "7 acknowledged, 7 accounted for" in page
    assert "9 instances in 2 series deleted" in page
    diary.note(LEDGER, 0, 3, {"acknowledged": 7, "accounted": 4})
    assert "3 differences" in browser.get("/").text
    lines = browser.get("/metrics").text.splitlines()
    assert 'overread_housekeeping_faults{work="ledger"} 3' in lines
    assert 'overread_housekeeping_faults{work="retention"} 0' in lines
    finished = 'overread_housekeeping_finished_seconds{work="ledger"} '
    (line,) = [line for line in lines if line.startswith(finished)]
    assert int(line.removeprefix(finished)) == pytest.approx(time.time(), abs=60)


def test_what_was_acknowledged_and_is_in_no_record_is_counted(
    browser: Browser, files: FileStore
) -> None:
    names = []
    for number in (1, 2, 3):
        file = files.incoming("a1")
        arrival(number, file=file)
        file.seal("a1")
        file.close()
        names.append(file.name)
    PromisedFiles(files.root).set_aside(names[0])
    files.incoming("a1").write(b"half-received")
    lines = browser.get("/metrics").text.splitlines()
    assert 'overread_instances_unrecorded{state="WAITING"} 2' in lines
    assert 'overread_instances_unrecorded{state="ASIDE"} 1' in lines


def test_what_others_wrote_is_no_markup(store: Store, browser: Browser) -> None:
    store.ready()
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "<script>alert(1)</script>")
    for page in ("/", f"/studies/{STUDY}"):
        text = browser.get(page).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "page",
    ["/studies/2.25.1", "/pictures/2.25.1.png", "/pictures/..%2f..%2fsecret.png", "/nothing"],
)
def test_what_is_not_there(browser: Browser, page: str) -> None:
    assert browser.get(page).status_code == 404


def test_the_picture_of_a_result(store: Store, files: FileStore, browser: Browser) -> None:
    store.ready()
    path = files.result_path("2.25.900", "overlay.png")
    store.jobs.publish(store.claimed(), replace(result_set(), picture=path))
    address = f"/pictures/{result_set().result_set_id}.png"
    assert browser.get(address).status_code == 404  # drawn after the results
    files.keep_result("2.25.900", "overlay.png", b"\x89PNG")
    answer = browser.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == b"\x89PNG"


def test_the_key_slices_of_a_result(store: Store, files: FileStore, browser: Browser) -> None:
    store.ready()
    path = files.result_path("2.25.900", OVERLAY)
    store.jobs.publish(store.claimed(), replace(result_set(), picture=path))
    address = f"/pictures/{result_set().result_set_id}/1.png"
    assert browser.get(address).status_code == 404  # drawn after the results
    assert browser.get(f"/studies/{STUDY}").status_code == 200
    files.keep_result("2.25.900", key_slice(1), b"\x89PNG")
    told = [{"slice": 5, "slices": 12, "lines": ["AI", "Brain <b>: Area 12 mm2"]}]
    files.keep_result("2.25.900", KEY_SLICES, json.dumps(told).encode())
    answer = browser.get(address)
    assert (answer.status_code, answer.content) == (200, b"\x89PNG")
    assert browser.get(address.replace("1.png", "2.png")).status_code == 404
    story = browser.get(f"/studies/{STUDY}").text
    assert address in story
    assert "Slice 5 of 12 · Brain &lt;b&gt;: Area 12 mm2" in story
    assert address not in browser.get("/").text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_changes_nothing(browser: Browser, method: str) -> None:
    for page in PAGES:
        assert browser.request(method, page).status_code == 405


def test_metrics_count_by_state(store: Store, browser: Browser) -> None:
    fill(store)
    lines = browser.get("/metrics").text.splitlines()
    assert 'overread_instances_received_total{outcome="stored"} 4' in lines
    assert 'overread_jobs{state="COMPLETED"} 1' in lines
    assert 'overread_jobs{state="SCHEDULED"} 1' in lines
    assert 'overread_deliveries{state="PARKED"} 1' in lines
    assert 'overread_outbox{queue="deliver"} 1' in lines
    assert "# TYPE overread_instances_received_total counter" in lines


def test_every_metric_of_the_closed_list_is_exposed() -> None:
    tables = (
        "instances",
        "unrecorded",
        "series",
        "jobs",
        "results",
        "deliveries",
        "destination_owed",
        "destination_parked",
        "destination_open",
        "destination_oldest",
        "identity",
        "withdrawals",
        "announced",
        "retrievals",
        "priors",
        "confirmations",
        "commitments",
        "excluded",
        "missed",
        "late",
        "corrections",
        "conflicts",
        "outbox",
        "expired",
        "faults",
        "finished",
        "messages",
        "orders",
        "questions",
        "merges",
    )
    text = exposition({table: {"x": 1} for table in tables})
    named = {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert named == set(MetricName.__args__)  # type: ignore[attr-defined] # what Literal[...] keeps


def test_health_fails_when_the_database_cannot_be_read(store: Store, browser: Browser) -> None:
    assert browser.get("/health").status_code == 200
    store.write("DROP TABLE outbox")
    assert browser.get("/health").status_code == 500


def test_the_first_page_tells_how_destinations_fare_and_what_is_parked(
    store: Store, browser: Browser
) -> None:
    store.published()
    claims = [store.claimed_delivery(), store.claimed_delivery()]
    (ehr,) = [claim for claim in claims if claim.destination == "ehr"]
    (pacs,) = [claim for claim in claims if claim.destination == "pacs"]
    store.deliveries.park(ehr, "EHR-422", "no")
    store.deliveries.give_back(pacs, "PEER-UNAVAILABLE", 60, unanswered=True)
    page = browser.get("/").text
    assert f"overread retry {ehr.delivery_id}" in page
    assert '<span class="state FAILS">FAILS</span>' in page
    told = {row["destination"]: row for row in browser.get("/api/destinations").json()}
    assert (told["ehr"]["parked"], told["pacs"]["owed"], told["pacs"]["failures"]) == (1, 1, 1)

"""Whatever is asked of the page: an answer, never a fault of ours, never a file that is no picture of ours."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from node.bootstrap import Viewing
from node.store.files import FileStore
from node.store.overview import Overview
from node.store.promises import PromisedFiles
from node.web.server import application
from tests.contract.stores import Store, opened
from tests.unit.node.samples import SECRETS, STUDY

SECRET = b"what lies beside the pictures"
ROOTS = ["/", "/studies/", "/pictures/", "/api/", "/health", "/metrics", f"/studies/{STUDY}", "//"]
PIECES = [
    "..",
    "%2e%2e%2f",
    "%00",
    "\\",
    ".png",
    "/1.png",
    "9" * 40,
    "%ff",
    STUDY,
    "'--",
    "{{7*7}}",
]
PATHS = st.builds(
    lambda root, rest: root + "".join(rest),
    st.sampled_from(ROOTS),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=6),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
HEADERS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=4)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    """Give the page of a node that has a study, beside a file that is nobody's to see."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "files").mkdir()
    (folder / "files" / "secret.png").write_bytes(SECRET)
    with opened("sqlite", folder) as store:
        _fill(store)
        viewing = Viewing(
            overview=Overview(store.database),
            files=FileStore(folder / "files"),
            promises=PromisedFiles(folder / "files"),
        )
        yield application(viewing)


def _fill(store: Store) -> None:
    store.published(1)
    store.receive(8, PatientName="Muster^Erika^Maria")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(method=METHODS, path=PATHS, query=st.binary(max_size=30), headers=HEADERS)
@example(method="GET", path="/pictures/../secret.png", query=b"", headers=[])
@example(method="GET", path="/pictures/x/" + "9" * 5000 + ".png", query=b"", headers=[])
@example(method="GET", path="/studies/2.25.1/", query=b"\x80", headers=[])
@example(method="GET", path="/studies/\x00", query=b"", headers=[])
def test_whatever_is_asked_is_answered(
    asked: Starlette, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    status, body = asyncio.run(_answer(asked, method, path, query, headers))
    assert status in {200, 206, 400, 404, 405, 416}
    assert SECRET not in body
    assert not any(secret.encode() in body for secret in SECRETS)


async def _answer(
    asked: Starlette, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """Ask as uvicorn does; what the application raises is raised."""
    raw = path.encode("utf-8", "surrogatepass")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
        "raw_path": raw,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await asked(scope, receive, send)
    body = b"".join(one.get("body", b"") for one in sent[1:])
    return int(sent[0]["status"]), body


def test_a_study_that_is_there_is_told(asked: Starlette) -> None:
    status, body = asyncio.run(_answer(asked, "GET", f"/studies/{STUDY}", b"", []))
    assert (status, STUDY.encode() in body) == (200, True)

"""What is asked of an Orthanc's REST interface, and what its answers mean."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from integrations.auth import BearerToken
from integrations.errors import Refused, Unavailable
from integrations.pacs.orthanc import OrthancDeletion
from tests.unit.integrations.samples import report, write_instances

OF = report(6)


def deletion(answer: Callable[[httpx.Request], httpx.Response]) -> OrthancDeletion:
    return OrthancDeletion(
        "http://pacs.example:8042/",
        auth=BearerToken("t0ken"),
        transport=httpx.MockTransport(answer),
    )


class Server:
    """An Orthanc that has some objects; what else it finds under a UID is no instance of ours."""

    def __init__(self, *held: str) -> None:
        self.held = {f"id-{uid}": uid for uid in held}
        self.asked: list[tuple[str, str]] = []
        self.authorization: set[str | None] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path))
        self.authorization.add(request.headers.get("Authorization"))
        if request.method == "DELETE":
            known = self.held.pop(request.url.path.removeprefix("/instances/"), None)
            return httpx.Response(200 if known else 404, json={})
        uid = request.content.decode()
        found = [{"ID": key, "Type": "Instance"} for key, one in self.held.items() if one == uid]
        return httpx.Response(200, json=[*found, {"ID": "a-series", "Type": "Series"}])


def test_only_instances_are_deleted_each_by_its_own_uid(tmp_path: Path) -> None:
    instances = write_instances(tmp_path, OF)
    first, second = (one.sop_instance_uid for one in instances)
    server = Server(first, second, "2.25.9")
    receipt = deletion(server)(OF, instances, "SUPERSEDED")
    assert (receipt.references, receipt.confirmed) == ((first, second), True)
    assert list(server.held.values()) == ["2.25.9"]
    deleted = [path for method, path in server.asked if method == "DELETE"]
    assert deleted == [f"/instances/id-{first}", f"/instances/id-{second}"]
    assert server.authorization == {"Bearer t0ken"}


def test_one_that_somebody_else_deletes_in_between_is_gone(tmp_path: Path) -> None:
    instances = write_instances(tmp_path, OF)
    server = Server(*(one.sop_instance_uid for one in instances))

    def race(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            server.held.clear()
        return server(request)

    assert deletion(race)(OF, instances, "RETRACTED").confirmed


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_not_now_is_tried_again(tmp_path: Path, status: int) -> None:
    with pytest.raises(Unavailable):
        deletion(lambda _: httpx.Response(status))(OF, write_instances(tmp_path, OF), "x")


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_no_is_a_no(tmp_path: Path, status: int) -> None:
    with pytest.raises(Refused) as refused:
        deletion(lambda _: httpx.Response(status))(OF, write_instances(tmp_path, OF), "x")
    assert refused.value.reason == f"ORTHANC-{status}"


@pytest.mark.parametrize("body", [b"<html>", b'{"a": 1}', b'[{"Type": "Instance"}]'])
def test_what_is_no_orthanc_deletes_nothing(tmp_path: Path, body: bytes) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, content=body)

    with pytest.raises(Refused, match="ORTHANC-NOT-JSON"):
        deletion(answer)(OF, write_instances(tmp_path, OF), "x")
    assert asked == ["POST"]


def test_nobody_there_is_tried_again_and_no_url_is_told(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("http://pacs.example:8042/secret")

    with pytest.raises(Unavailable) as unavailable:
        deletion(answer)(OF, write_instances(tmp_path, OF), "x")
    assert "secret" not in str(unavailable.value)
    assert unavailable.value.__cause__ is None

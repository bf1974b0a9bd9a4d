"""What an archive answers to STOW-RS, read instance by instance (PS3.18 10.5.3)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.auth import BasicAuth, BearerToken
from integrations.destination import Receipt
from integrations.errors import IntegrationError, Refused, SyntaxRefused, Unavailable
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.stow import StowDestination, store_nothing
from integrations.report import Instance
from integrations.testing import MemoryArchive
from tests.unit.integrations.samples import report, write_instances

BASE = "https://pacs.test/dicom-web"
OF = report(51)
UIDS = [f"{OF.result_set_uid}.{number}" for number in (1, 2)]
Answering = Callable[[httpx.Request], httpx.Response]


class Steps:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, sop_instance_uid: str, state: str) -> None:
        self.told.append((sop_instance_uid, state))


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    return write_instances(tmp_path, OF)


def item(uid: str, **reasons: int) -> dict[str, Any]:
    """Write an item of a response: WarningReason (0008,1196), FailureReason (0008,1197)."""
    told: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    tags = {"warning": "00081196", "failure": "00081197"}
    return told | {tags[key]: {"vr": "US", "Value": [value]} for key, value in reasons.items()}


def response(
    *, failed: list[Any] | None = None, stored: list[Any] | None = None, other: Any = None
) -> dict[str, Any]:
    told = {"00081198": failed, "00081199": stored, "0008119A": other}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in told.items() if items}


def deliver(
    instances: list[Instance], *answers: httpx.Response, steps: Steps | None = None
) -> Receipt:
    """Deliver to an archive that answers so, one request after the other."""
    left = list(answers)
    service = Dicomweb(BASE, transport=httpx.MockTransport(lambda _: left.pop(0)))
    return StowDestination(service, None).deliver(
        OF, instances, in_doubt=frozenset(), progress=steps or Steps()
    )


def stored(uid: str, **reasons: int) -> httpx.Response:
    return httpx.Response(200, json=response(stored=[item(uid, **reasons)]))


def failed(status: int, uid: str, **reasons: int) -> httpx.Response:
    return httpx.Response(status, json=response(failed=[item(uid, **reasons)]))


def test_one_instance_is_one_part_of_one_request(instances: list[Instance]) -> None:
    seen: list[tuple[httpx.Request, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request, request.read()))
        return stored(UIDS[len(seen) - 1])

    service = Dicomweb(BASE, transport=httpx.MockTransport(answer))
    StowDestination(service, None).deliver(
        OF, instances, in_doubt=frozenset(), progress=lambda _uid, _state: None
    )
    assert len(seen) == 2
    for (request, body), instance in zip(seen, instances, strict=True):
        kind, _, boundary = request.headers["Content-Type"].partition("; boundary=")
        assert kind == 'multipart/related; type="application/dicom"'
        assert request.headers["Accept"] == "application/dicom+json"
        assert int(request.headers["Content-Length"]) == len(body)
        assert "Transfer-Encoding" not in request.headers
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        assert body == head + instance.path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        assert (request.method, str(request.url)) == ("POST", f"{BASE}/studies")


def test_a_warning_is_stored_with_a_remark(instances: list[Instance]) -> None:
    receipt = deliver(
        instances,
        httpx.Response(202, json=response(stored=[item(UIDS[0], warning=0xB000)])),
        httpx.Response(200, json=[response(stored=[item(UIDS[1])])]),  # some answer with a list
    )
    assert receipt.remark == f"PACS-B000 for {UIDS[0]}"


def test_a_duplicate_is_no_loss(instances: list[Instance]) -> None:
    receipt = deliver(instances, failed(409, UIDS[0], failure=0x0111), stored(UIDS[1]))
    assert receipt.remark == f"PACS-0111 for {UIDS[0]}"


@pytest.mark.parametrize("status", [200, 202, 400, 409])
@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        (0xA700, Unavailable, None),
        (0x0110, Unavailable, None),
        (0x0122, SyntaxRefused, "PACS-0122"),
        (0xC122, SyntaxRefused, "PACS-C122"),
        (0xA900, Refused, "PACS-A900"),
        (0xC000, Refused, "PACS-C000"),
    ],
)
def test_a_failure_reason_counts_whatever_the_status(
    instances: list[Instance],
    status: int,
    reason: int,
    kind: type[IntegrationError],
    code: str | None,
) -> None:
    steps = Steps()
    with pytest.raises(kind) as error:
        deliver(instances, failed(status, UIDS[0], failure=reason), steps=steps)
    assert type(error.value) is kind
    assert steps.told == [(UIDS[0], "SENDING")]
    assert code is None or getattr(error.value, "reason", None) == code


def test_only_what_failed_is_sent_again(instances: list[Instance]) -> None:
    steps = Steps()
    with pytest.raises(Unavailable):
        deliver(instances, stored(UIDS[0]), failed(409, UIDS[1], failure=0xA700), steps=steps)
    assert steps.told == [(UIDS[0], "SENDING"), (UIDS[0], "SENT"), (UIDS[1], "SENDING")]


def test_no_other_form_comes_beside_what_was_taken(instances: list[Instance]) -> None:
    with pytest.raises(Refused) as refused:
        deliver(instances, stored(UIDS[0]), failed(409, UIDS[1], failure=0x0122))
    assert type(refused.value) is Refused


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(409), "DICOMWEB-409"),
        (httpx.Response(409, text="<html>"), "DICOMWEB-409"),
        (httpx.Response(400, json=response(stored=[item("2.25.404")])), "DICOMWEB-400"),
        (failed(409, UIDS[0]), "DICOMWEB-409"),
        (failed(409, UIDS[0], failure=0), "DICOMWEB-409"),
        (
            httpx.Response(200, json=response(other=[{"00081197": {"Value": [0xC000]}}])),
            "PACS-C000",
        ),
        (httpx.Response(401), "DICOMWEB-401"),
        (httpx.Response(413), "DICOMWEB-413"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test"}), "DICOMWEB-302"),
    ],
)
def test_what_was_not_stored_is_refused(
    instances: list[Instance], answer: httpx.Response, reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        deliver(instances, answer)
    assert refused.value.reason == reason
    assert type(refused.value) is Refused


def test_another_media_type_is_another_form(instances: list[Instance]) -> None:
    with pytest.raises(SyntaxRefused):
        deliver(instances, httpx.Response(415))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_status_that_may_pass_is_unavailable(instances: list[Instance], status: int) -> None:
    with pytest.raises(Unavailable):
        deliver(instances, httpx.Response(status))


@pytest.mark.parametrize(
    ("answer", "remark"),
    [
        (httpx.Response(200), None),
        (httpx.Response(200, text="<xml/>"), None),
        (httpx.Response(202), f"no word of it beside 202 for {UIDS[0]}"),
        (failed(200, "2.25.404", failure=0xA900), None),  # of another instance
    ],
)
def test_an_answer_without_a_word_of_it_is_as_good_as_its_status(
    instances: list[Instance], answer: httpx.Response, remark: str | None
) -> None:
    assert deliver(instances[:1], answer).remark == remark


def test_what_it_does_not_list_is_not_confirmed(instances: list[Instance]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    receipt = StowDestination(Dicomweb(BASE, transport=transport), MemoryArchive()).deliver(
        OF, instances, in_doubt=frozenset(), progress=Steps()
    )
    assert not receipt.confirmed
    assert receipt.awaits == "READ BACK"


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (BearerToken("s3cret"), "Bearer s3cret"),
        (BasicAuth("overread", "s3cret"), "Basic b3ZlcnJlYWQ6czNjcmV0"),
    ],
)
def test_it_is_told_who_stores(
    instances: list[Instance], auth: BearerToken | BasicAuth, header: str
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(403)

    service = Dicomweb(BASE, auth=auth, transport=httpx.MockTransport(answer))
    with pytest.raises(Refused) as refused:
        StowDestination(service, None).deliver(
            OF, instances, in_doubt=frozenset(), progress=Steps()
        )
    assert seen == [header]
    assert "s3cret" not in f"{refused.value!r} {service!r} {service}"


@pytest.mark.parametrize("status", [200, 204, 400, 422])
def test_who_stores_answers_to_nothing_at_all(status: int) -> None:
    store_nothing(Dicomweb(BASE, transport=httpx.MockTransport(lambda _: httpx.Response(status))))


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_who_does_not_store_says_so(status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    with pytest.raises(Refused) as refused:
        store_nothing(Dicomweb(BASE, transport=transport))
    assert refused.value.reason == f"DICOMWEB-{status}"

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from integrations.auth import BearerToken
from integrations.errors import Refused, Unavailable
from integrations.pacs import dicomweb
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.qido import PAGE, QidoArchiveIndex

BASE = "https://pacs.test/dicom-web"
Answer = Callable[[httpx.Request], httpx.Response]


def entry(number: int, series: str | None = None) -> dict[str, Any]:
    one: dict[str, Any] = {"00080018": {"vr": "UI", "Value": [f"2.25.{number}"]}}
    if series is not None:
        one["0020000E"] = {"vr": "UI", "Value": [series]}
    return one


def entries(*numbers: int) -> list[dict[str, Any]]:
    return [entry(number) for number in numbers]


def uids(*numbers: int) -> frozenset[str]:
    return frozenset(f"2.25.{number}" for number in numbers)


def ask(answer: Answer, **options: Any) -> frozenset[str]:
    index = QidoArchiveIndex(Dicomweb(BASE, transport=httpx.MockTransport(answer), **options))
    return index.instances("2.25.100", "2.25.200")


def slot(request: httpx.Request) -> tuple[int, int]:
    return int(request.url.params["limit"]), int(request.url.params["offset"])


def holding(
    count: int, *, most: int = 10**6, paged: bool = True, warns: bool = False
) -> tuple[Answer, list[httpx.Request]]:
    """Give an archive with `count` instances that gives at most so many at one time."""
    requests: list[httpx.Request] = []
    held = entries(*range(count))

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        limit, offset = slot(request)
        page = held[offset : offset + min(limit, most)] if paged else held[:most]
        headers = {"Warning": '299 pacs "there are more"'} if warns else {}
        return httpx.Response(200, json=page, headers=headers)

    return answer, requests


def test_what_is_asked() -> None:
    answer, requests = holding(3)
    assert ask(answer) == uids(0, 1, 2)
    assert str(requests[0].url) == (
        f"{BASE}/studies/2.25.100/series/2.25.200/instances?limit={PAGE}&offset=0"
    )
    assert requests[0].headers["Accept"] == "application/dicom+json"


def test_a_uid_cannot_leave_its_place() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(204)

    index = QidoArchiveIndex(Dicomweb(BASE, transport=httpx.MockTransport(answer)))
    index.instances("../../admin?x=", "1#2")
    assert seen[0].startswith("/dicom-web/studies/..%2F..%2Fadmin%3Fx%3D/series/1%232/instances?")


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 7])
def test_every_page_is_read(count: int) -> None:
    answer, _ = holding(count)
    assert ask(answer) == uids(*range(count))


@pytest.mark.parametrize("most", [1, 7, 100])
def test_an_archive_that_gives_less_than_it_is_asked_for_is_asked_again(most: int) -> None:
    answer, requests = holding(150, most=most)
    assert ask(answer) == uids(*range(150))
    assert len(requests) == -(-150 // most) + 1


@pytest.mark.parametrize("count", [1, 150, PAGE + 500])
def test_an_archive_without_pages_gives_all_at_once(count: int) -> None:
    answer, requests = holding(count, paged=False)
    assert ask(answer) == uids(*range(count))
    assert len(requests) == 2


@pytest.mark.parametrize(("most", "warns"), [(PAGE, False), (100, True)])
def test_a_list_that_is_cut_short_is_no_list(most: int, warns: bool) -> None:
    """Without pages, and perhaps with more than it tells: it would pass for a whole series."""
    answer, _ = holding(PAGE + 500, most=most, paged=False, warns=warns)
    with pytest.raises(Refused) as refused:
        ask(answer)
    assert refused.value.reason == "DICOMWEB-CUT-SHORT"


def test_a_list_without_end_is_given_up() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=entries(slot(request)[1]))

    with pytest.raises(Refused) as refused:
        ask(answer)
    assert refused.value.reason == "DICOMWEB-ENDLESS-LIST"


@pytest.mark.parametrize(
    "answer", [httpx.Response(204), httpx.Response(200), httpx.Response(200, json=[])]
)
def test_nothing_is_an_answer(answer: httpx.Response) -> None:
    assert ask(lambda _: answer) == frozenset()


def test_entries_of_another_series_are_not_its_own() -> None:
    page = [entry(1, "2.25.200"), entry(2, "2.25.201"), entry(3), {}, "nonsense", {"00080018": 7}]
    assert ask(lambda _: httpx.Response(200, json=page)) == uids(1, 3)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable, match=f"pacs.test answered {status}"):
        ask(lambda _: httpx.Response(status, text="Muster^Erika"))


@pytest.mark.parametrize("status", [206, 301, 302, 307, 400, 401, 403, 404, 406, 413, 501])
def test_what_stays_is_refused(status: int) -> None:
    with pytest.raises(Refused) as refused:
        ask(lambda _: httpx.Response(status, headers={"Location": BASE}))
    assert refused.value.reason == f"DICOMWEB-{status}"


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError])
def test_a_broken_connection_is_unavailable(kind: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind(str(request.url))

    with pytest.raises(Unavailable) as unavailable:
        ask(fail)
    assert str(unavailable.value) == f"pacs.test: {kind.__name__}"
    assert unavailable.value.__cause__ is None


@pytest.mark.parametrize("body", ["<html>Muster</html>", '{"00080018": {}}', "[", "7"])
def test_what_is_no_dicom_json_is_refused(body: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(lambda _: httpx.Response(200, text=body))
    assert refused.value.reason == "DICOMWEB-NOT-JSON"
    assert "Muster" not in str(refused.value)


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "LARGEST_ANSWER", 1000)
    with pytest.raises(Refused) as refused:
        ask(lambda _: httpx.Response(200, text=json.dumps(entries(*range(100)))))
    assert refused.value.reason == "DICOMWEB-TOO-LARGE"


def test_the_token_goes_to_the_archive_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers["Authorization"]))
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    caplog.set_level(logging.DEBUG)
    index = QidoArchiveIndex(
        Dicomweb(BASE, auth=BearerToken("s3cret"), transport=httpx.MockTransport(answer))
    )
    with pytest.raises(Refused) as refused:
        index.instances("2.25.100", "2.25.200")
    assert seen == [("pacs.test", "Bearer s3cret")]
    told = f"{refused.value!r} {index!r} {vars(index._service)!r} {caplog.text}"
    assert "s3cret" not in told
    assert "2.25.100" not in caplog.text


def test_a_url_with_a_password_is_not_repeated() -> None:
    index = QidoArchiveIndex(
        Dicomweb(
            "https://me:s3cret@pacs.test/dicom-web",
            transport=httpx.MockTransport(lambda _: httpx.Response(500)),
        )
    )
    with pytest.raises(Unavailable) as unavailable:
        index.instances("2.25.100", "2.25.200")
    assert "s3cret" not in str(unavailable.value)


def study(**values: Any) -> dict[str, Any]:
    one: dict[str, Any] = {"0020000D": {"vr": "UI", "Value": ["2.25.100"]}}
    return one | {tag.removeprefix("x"): value for tag, value in values.items()}


def whose(answer: Any, status: int = 200) -> Any:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=answer))
    index = QidoArchiveIndex(Dicomweb(BASE, transport=transport))
    return index.attributes("2.25.100", ("PatientID", "PatientName", "PatientSex"))


def test_whose_study_it_is() -> None:
    name = {"Alphabetic": "Yamada^Tarou ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    said = study(
        x00100020={"vr": "LO", "Value": [" 4711 "]},
        x00100010={"vr": "PN", "Value": [name]},
        x00100040={"vr": "CS"},
    )
    assert whose([said]) == {
        "PatientID": "4711",
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    }
    assert whose([said, said]) is not None


@pytest.mark.parametrize(
    "name", [{"Ideographic": "山田"}, {"Alphabetic": None, "Ideographic": "山田"}]
)
def test_a_group_of_a_name_keeps_its_place(name: dict[str, Any]) -> None:
    assert whose([study(x00100010={"vr": "PN", "Value": [name]})])["PatientName"] == "=山田"


def test_the_question_names_no_patient() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    index = QidoArchiveIndex(Dicomweb(BASE, transport=httpx.MockTransport(answer)))
    assert index.attributes("2.25.100", ("PatientID", "PatientName")) is None
    assert dict(seen[0].url.params) == {
        "StudyInstanceUID": "2.25.100",
        "includefield": "00100020,00100010",
    }


def test_a_service_that_ignores_the_question_tells_of_no_other_study() -> None:
    other = {"0020000D": {"vr": "UI", "Value": ["2.25.999"]}, "00100020": {"Value": ["OTHER"]}}
    assert whose([other]) is None


def test_two_answers_for_one_study_that_differ_are_none() -> None:
    with pytest.raises(Refused) as refused:
        whose([study(x00100020={"Value": ["A"]}), study(x00100020={"Value": ["B"]})])
    assert refused.value.reason == "ARCHIVE-CONTRADICTS"


@pytest.mark.parametrize("answer", [{"an": "object"}, "text", 7])
def test_an_answer_about_a_study_that_is_no_list(answer: Any) -> None:
    with pytest.raises(Refused) as refused:
        whose(answer)
    assert refused.value.reason == "DICOMWEB-NOT-JSON"

"""An EHR that does in the other way all that FHIR leaves open, where SEKMET does it in the usual one.

It is a function from request to answer: it stands behind a client's transport as well as behind a socket.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

BASE = "http://ehr.test/fhir"
Resource = dict[str, Any]


class Refusal(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, content: str | None = None, kind: str | None = None) -> None:
        super().__init__(status)
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "x"}],
        }
        self.answer = httpx.Response(
            status,
            headers={"Content-Type": kind or "application/fhir+json"},
            text=json.dumps(outcome) if content is None else content,
        )


def html(status: int) -> Refusal:
    """Return the page of a gateway that stands before the EHR."""
    return Refusal(status, "<html><body>Doe^Colin is not here</body></html>", "text/html")


@dataclass(slots=True, kw_only=True)
class OtherEhr:
    """Resources in memory.

    Parameters
    ----------
    conditional
        It takes conditional creates; False: it refuses them.
    transactions
        ``none``, ``whole``, or ``in parts``: what came before an entry that fails stays.
    chooses_ids
        It chooses the ids; False: a client may.
    versions
        It tells entity tags and version ids; False: it has none.
    failures
        Raised instead of the next writings, one each; None in it lets one through.
    fails_at
        The entry of a transaction, counted from 0, that fails once.
    """

    conditional: bool = True
    transactions: str = "whole"
    chooses_ids: bool = True
    versions: bool = True
    failures: list[Refusal | None] = field(default_factory=list)
    fails_at: int | None = None
    held: dict[str, list[Resource]] = field(default_factory=dict)
    """All versions of each resource, by ``Type/id``."""
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, resource_type: str) -> int:
        """How many resources of a type there are."""
        return sum(one.startswith(f"{resource_type}/") for one in self.held)

    def of(self, resource_type: str) -> list[Resource]:
        """Return the newest version of each resource of a type."""
        return [
            versions[-1]
            for name, versions in self.held.items()
            if name.startswith(f"{resource_type}/")
        ]

    def seed(self, resource: Resource) -> str:
        """Put a resource there as its own user would."""
        name = f"{resource['resourceType']}/{uuid4()}"
        self._keep(name, resource)
        return name

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            path = request.url.path.removeprefix("/fhir").strip("/")
            self.requests.append(f"{request.method} {path}")
            try:
                return self._answer(request, path)
            except Refusal as refusal:
                return refusal.answer

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "GET":
            return self._read(path, parse_qs(request.url.query.decode()))
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        body = json.loads(request.content)
        if path == "":
            return self._transact(body)
        if_match, if_none = request.headers.get("If-Match"), request.headers.get("If-None-Exist")
        name, status = self._write(request.method, path, body, if_match, if_none)
        headers = {"Location": f"{name}/_history/{self._version(name)}"}  # relative, and no body
        return httpx.Response(status, headers={**headers, **self._etag(name)})

    def _read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
        if path == "metadata":
            return httpx.Response(200, json=self._statement())
        if "/" in path:
            if path not in self.held:
                raise html(404)
            return httpx.Response(200, json=self._shown(path), headers=self._etag(path))
        found = [name for name in self.held if name.startswith(f"{path}/")]
        if "identifier" in query:
            values = {one.split("|")[-1] for one in query["identifier"][0].split(",")}
            found = [name for name in found if values & _values(self.held[name][-1])]
        if "target" in query:
            found = [name for name in found if query["target"][0] in json.dumps(self.held[name])]
        # who wants the pages of a search counted does not get them from this server
        entries = [{"resource": self._shown(name)} for name in found]
        return httpx.Response(
            200, json={"resourceType": "Bundle", "type": "searchset", "entry": entries}
        )

    def _write(
        self, method: str, path: str, body: Resource, if_match: str | None, if_none: str | None
    ) -> tuple[str, int]:
        if method == "POST":
            known = [] if if_none is None else self._known(path, if_none)
            return (known[0], 200) if known else (self._keep(f"{path}/{uuid4()}", body), 201)
        if path not in self.held and self.chooses_ids:
            raise Refusal(405)
        if path not in self.held:
            return self._keep(path, body), 201
        if self.versions and if_match is not None and if_match != self._etag(path)["ETag"]:
            raise Refusal(412)
        return self._keep(path, body), 200

    def _known(self, path: str, if_none: str) -> list[str]:
        if not self.conditional:
            raise Refusal(400)
        values = {if_none.rsplit("|", maxsplit=1)[-1]}
        own = [name for name in self.held if name.startswith(f"{path}/")]
        known = [name for name in own if values & _values(self.held[name][-1])]
        if len(known) > 1:
            raise Refusal(412)
        return known

    def _transact(self, bundle: Resource) -> httpx.Response:
        if self.transactions == "none":
            raise Refusal(501)
        before = {name: list(versions) for name, versions in self.held.items()}
        places: dict[str, str] = {}
        answers = []
        for number, entry in enumerate(bundle["entry"]):
            try:
                if number == self.fails_at:
                    self.fails_at = None
                    raise Refusal(500)  # noqa: TRY301 -- as an entry would
                request = entry["request"]
                body = json.loads(_resolved(json.dumps(entry["resource"]), places))
                name, status = self._write(
                    request["method"],
                    request["url"],
                    body,
                    request.get("ifMatch"),
                    request.get("ifNoneExist"),
                )
            except Refusal:
                if self.transactions == "whole":
                    self.held = before
                raise
            places[entry["fullUrl"]] = name
            answers.append({"response": {"status": str(status), "location": name}})
        return httpx.Response(200, json={"resourceType": "Bundle", "entry": answers})

    def _keep(self, name: str, body: Resource) -> str:
        own = {**body, "id": name.split("/")[1]}
        self.held.setdefault(name, []).append(own)
        return name

    def _version(self, name: str) -> str:
        return f"v{len(self.held[name])}-{name[-4:]}"

    def _etag(self, name: str) -> dict[str, str]:
        return {"ETag": f'W/"{self._version(name)}"'} if self.versions else {}

    def _shown(self, name: str) -> Resource:
        own = self.held[name][-1]
        meta = {"versionId": self._version(name)} if self.versions else {}
        return {**own, "meta": {**own.get("meta", {}), **meta}}

    def _statement(self) -> Resource:
        can = {
            "interaction": [{"code": one} for one in ("read", "create", "update", "search-type")],
            "conditionalCreate": self.conditional,
            "updateCreate": not self.chooses_ids,
        }
        types = ["DiagnosticReport", "DocumentReference", "Observation", "ImagingStudy", "Device"]
        types += ["Provenance", "Task", "Flag", "Communication"]
        server: Resource = {"mode": "server", "resource": [{"type": one, **can} for one in types]}
        if self.transactions != "none":
            server["interaction"] = [{"code": "transaction"}]
        return {"resourceType": "CapabilityStatement", "rest": [server]}


@contextmanager
def served(ehr: OtherEhr) -> Iterator[str]:
    """Put it behind a socket of loopback; give its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            if len(content) < length:  # the connection ended within the request
                return
            query = urlsplit(self.path)
            url = httpx.URL(f"http://ehr.test{query.path}?{query.query}")
            asked = httpx.Request(self.command, url, headers=dict(self.headers), content=content)
            answer = ehr(asked)
            self.send_response(answer.status_code)
            for name in ("Location", "ETag", "Content-Type"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815 -- names of the standard library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/fhir"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _values(resource: Resource) -> set[str]:
    return {one["value"] for one in resource.get("identifier", [])}


def _resolved(text: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(name, place)
    return text

"""SEKMET (PyPI `sekmet-fhir`) as the EHR: a FHIR R4 server on SQLite."""

import contextlib
import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers import absent, free_port, wait_for

MRN_SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
"""The identifier system of the fictional hospital whose patients the tests seed (HL7's example arc)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sekmet:
    """A running FHIR server."""

    port: int
    token: str | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def create(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """POST a resource; gives it back with its id."""
        return self.request("POST", resource["resourceType"], resource)

    def put(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """PUT a resource under the id that it carries."""
        return self.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)

    def read(self, reference: str) -> dict[str, Any]:
        """GET ``Patient/123``."""
        return self.request("GET", reference)

    def search(self, resource_type: str, **parameters: str) -> list[dict[str, Any]]:
        """Every match of one page of 1000."""
        query = urllib.parse.urlencode({**parameters, "_count": "1000"})
        bundle = self.request("GET", f"{resource_type}?{query}")
        return [entry["resource"] for entry in bundle.get("entry", [])]

    def count(self, resource_type: str, **parameters: str) -> int:
        """How many resources of a type there are."""
        return len(self.search(resource_type, **parameters))

    def counts(self, *resource_types: str) -> dict[str, int]:
        """How many resources there are of each type."""
        return {one: self.count(one) for one in resource_types}

    def transact(self, bundle: str) -> dict[str, Any]:
        """POST a transaction bundle as it is written."""
        return self.request("POST", "", bundle)

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | str | None = None
    ) -> dict[str, Any]:
        """One REST interaction; raises `urllib.error.HTTPError` for 4xx and 5xx."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        request = urllib.request.Request(  # noqa: S310 -- http to our own server on loopback
            f"{self.base_url}/{path}".rstrip("/"),
            data=None if text is None else text.encode(),
            method=method,
            headers={"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"},
        )
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- the same
            found: dict[str, Any] = json.loads(answer.read())
            return found


@contextlib.contextmanager
def running_sekmet(
    folder: Path,
    *,
    token: str | None = None,
    auth: Mapping[str, object] | None = None,
) -> Iterator[Sekmet]:
    """Start an empty server with strict validation in `folder`, and end it.

    Parameters
    ----------
    token
        The bearer token that it wants; None opens it to everybody.
    auth
        Its ``server_auth`` as it is, where a token is not enough.
    """
    if importlib.util.find_spec("sekmet") is None:
        absent("sekmet", "pip install sekmet-fhir")
    folder.mkdir(parents=True, exist_ok=True)
    server = Sekmet(port=free_port(), token=token)
    settings = folder / "settings.yaml"
    # JSON is YAML, so the tests need no YAML library
    settings.write_text(json.dumps(_settings(server, folder, auth)))
    command = [str(Path(sys.executable).with_name("sekmet")), "serve", "-c", str(settings)]
    with (folder / "sekmet.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(
                lambda: process.poll() is not None or _answers(server),
                timeout_s=60,
                what="SEKMET to answer",
            )
            assert process.poll() is None, (folder / "sekmet.log").read_text()[-2000:]
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)


def _settings(server: Sekmet, folder: Path, auth: Mapping[str, object] | None) -> dict[str, object]:
    if auth is None:
        bearer = {"types": ["bearer"], "tokens": [server.token]}
        auth = bearer if server.token else {"types": ["none"]}
    return {
        "base_url": server.base_url,
        "host": "127.0.0.1",
        "port": server.port,
        "data_dir": str(folder / "data"),
        "server_auth": auth,
        "simulator": {"enabled": False},
        "validation": {"inbound": "strict"},
    }


def _answers(server: Sekmet) -> bool:
    try:
        server.request("GET", "metadata")
    except (urllib.error.URLError, OSError):
        return False
    return True

"""SEKMET as the demo's EHR, seeded with the head's patient."""

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from node.demo.processes import DemoFailed, running, wait_until

ISSUER = "OVERREAD-DEMO"
IDENTIFIER_SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
"""The demo hospital's patient numbers, on HL7's arc for examples."""

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "identifier": [{"system": IDENTIFIER_SYSTEM, "value": "OVR-000027"}],
    "name": [{"family": "Colin", "given": ["Twentyseven"]}],
    "gender": "male",
    "birthDate": "1963-07-04",
}


@contextlib.contextmanager
def running_ehr(folder: Path, port: int) -> Iterator[str]:
    """Run a FHIR server that knows the patient; give its base URL.

    Raises
    ------
    DemoFailed
        SEKMET is not installed, does not come up, or refuses the patient.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base_url = f"http://127.0.0.1:{port}/fhir"
    program = Path(sys.executable).with_name("sekmet")
    if not program.exists():
        raise DemoFailed("SEKMET is not installed: pip install 'overread[demo]'")
    settings = {
        "base_url": base_url,
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(folder / "data"),
        "server_auth": {"types": ["none"]},
        "simulator": {"enabled": False},
        "validation": {"inbound": "strict"},
    }
    config = folder / "settings.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML too
    with running([str(program), "serve", "-c", str(config)], folder / "sekmet.log"):
        wait_until(
            lambda: ask(f"{base_url}/metadata") is not None,
            timeout_s=60,
            what=f"SEKMET; see {folder / 'sekmet.log'}",
        )
        if ask(f"{base_url}/Patient", PATIENT) is None:
            raise DemoFailed(f"SEKMET refused the patient; see {folder / 'sekmet.log'}")
        yield base_url


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """GET, or POST `body`; None when there is no good answer."""
    request = urllib.request.Request(  # noqa: S310 - http to our own server on loopback
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            text = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    found: dict[str, Any] = json.loads(text) if text else {}
    return found

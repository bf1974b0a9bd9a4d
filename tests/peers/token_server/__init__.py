"""A token endpoint that nobody of ours wrote: npm's oidc-provider."""

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers import absent, free_port, wait_for

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TokenServer:
    """Where tokens are given."""

    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        return f"{self.base_url}/token"


@contextlib.contextmanager
def running_token_server(
    folder: Path, clients: Sequence[Mapping[str, Any]]
) -> Iterator[TokenServer]:
    """Start one that knows these clients, and end it.

    Parameters
    ----------
    clients
        Of each ``client_id``, ``token_endpoint_auth_signing_alg`` and ``jwks``.
    """
    node = shutil.which("node")
    fetched = subprocess.run([HERE / "fetch"], capture_output=True, text=True, check=False)
    if node is None or fetched.returncode:
        absent("oidc-provider", "npm")
    server = TokenServer(free_port())
    command = [node, str(HERE / "server.mjs"), fetched.stdout.strip(), str(server.port)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "token_server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, json.dumps(list(clients))], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(
                lambda: process.poll() is not None or _answers(server),
                timeout_s=60,
                what="the token server to answer",
            )
            assert process.poll() is None, (folder / "token_server.log").read_text()[-2000:]
            yield server
        finally:
            process.kill()
            process.wait(timeout=20)


def _answers(server: TokenServer) -> bool:
    url = f"{server.base_url}/.well-known/openid-configuration"
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 -- loopback
            return True
    except (urllib.error.URLError, OSError):
        return False

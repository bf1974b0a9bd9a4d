"""Serve OHIF's build and an archive's DICOMweb from one origin, with the standard library alone.

A browser lets a page read what comes from the page's own origin, so the archive needs no CORS headers and no
address of its own. Whatever is no file of the build is the page: OHIF keeps its routes in the address.

    python3 serve.py --dist ~/.cache/overread/ohif-3.13.2 --archive http://127.0.0.1:8042

There is neither log-in nor TLS: it is for one machine, or stands behind a proxy that has both.
"""

import argparse
import contextlib
import http.client
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

DICOMWEB = "/dicom-web/"
"""Where the archive answers (Orthanc's default), and where the page asks."""

CONFIGURATION = Path(__file__).with_name("app-config.js")

_OF_ONE_HOP = frozenset({
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})
"""Header fields that are not forwarded (RFC 9110 7.6.1)."""

_ARCHIVE_TIMEOUT_S = 120


class Handler(SimpleHTTPRequestHandler):
    """One connection of a browser.

    Parameters
    ----------
    archive
        Host and port of the archive.
    """

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012 -- as the base class has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments: object, archive: str, **options: object) -> None:
        self._archive = archive
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Give a file of the build, the page, or what the archive answers."""
        if self.path.startswith(DICOMWEB):
            self._forward()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Store (STOW-RS) or search; nothing else may be posted."""
        if self.path.startswith(DICOMWEB):
            self._forward()
        else:
            self.send_error(404)

    def translate_path(self, path: str) -> str:
        """Return the file for a path: our configuration, a file of the build, or the page."""
        if urlsplit(path).path == "/app-config.js":
            return str(CONFIGURATION)
        file = super().translate_path(path)
        return file if Path(file).is_file() else str(Path(self.directory) / "index.html")

    def end_headers(self) -> None:
        """Let the browser keep the files whose names change with their content."""
        if ".bundle." in self.path or self.path.endswith(".wasm"):
            self.send_header("Cache-Control", "public, max-age=31536000, immutable")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Say nothing: addresses of a viewer hold identifiers."""

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        connection = http.client.HTTPConnection(self._archive, timeout=_ARCHIVE_TIMEOUT_S)
        # Host goes along: the archive builds the addresses of bulk data from it.
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_ONE_HOP}
        try:
            connection.request(self.command, self.path, body, headers)
            self._answer(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True
            self.send_error(502, f"The archive does not answer ({type(error).__name__})")
        finally:
            connection.close()

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_ONE_HOP | {"server", "date"}:
                self.send_header(name, value)
        if answer.length is None:
            # Without a length the end of the connection is the end of the answer.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        shutil.copyfileobj(answer, self.wfile, 1 << 18)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dist", type=Path, required=True, help="folder of OHIF's build")
    parser.add_argument("--archive", default="http://127.0.0.1:8042", help="the archive's address")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on")
    options = parser.parse_args()
    if not (options.dist / "index.html").is_file():
        parser.error(f"{options.dist} holds no build of OHIF: see deploy/ohif/fetch")
    archive = urlsplit(options.archive).netloc
    handler = partial(Handler, directory=str(options.dist), archive=archive)
    with ThreadingHTTPServer((options.host, options.port), handler) as server:
        print(f"http://{options.host}:{server.server_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()

"""The status page: studies, jobs, deliveries, pictures; health and metrics beside it.

Read-only, bound to loopback by default, and without a patient's name: studies are shown by their UID.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from node.bootstrap import Viewing
from node.clock import at
from node.core.pictures import KEY_SLICES, key_slice
from node.settings import WebTable
from node.web.metrics import exposition


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    moment: datetime = at(seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


_NUMBER = re.compile(r"[0-9]{1,4}")
"""Of a key slice; Python refuses to read a number of thousands of digits."""
TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")
TEMPLATES.env.filters["moment"] = _moment


class Pages:
    """The pages over what the store tells."""

    def __init__(self, viewing: Viewing) -> None:
        self._overview = viewing.overview
        self._root = viewing.files.root
        self._promises = viewing.promises

    def routes(self) -> list[Route]:
        """Return every address that is answered."""
        return [
            Route("/", self.index),
            Route("/studies/{uid}", self.study),
            Route("/pictures/{result_set_id}.png", self.picture),
            Route("/pictures/{result_set_id}/{number}.png", self.key_slice),
            Route("/api/studies", self.api_studies),
            Route("/api/jobs", self.api_jobs),
            Route("/api/deliveries", self.api_deliveries),
            Route("/api/destinations", self.api_destinations),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
        ]

    def index(self, request: Request) -> Response:
        """Show the newest studies, jobs and deliveries."""
        content = {
            "studies": self._overview.studies(20),
            "jobs": self._overview.jobs(limit=20),
            "deliveries": self._overview.deliveries(limit=20),
            "destinations": self._overview.destinations(),
            "dead_letters": self._overview.dead_letters(20),
            "housekeeping": self._overview.housekeeping(),
        }
        return TEMPLATES.TemplateResponse(request, "index.html", content)

    def study(self, request: Request) -> Response:
        """Show one study's story.

        Raises
        ------
        HTTPException
            404: there is no such study.
        """
        uid = request.path_params["uid"]
        story = self._overview.story(uid)
        if not story:
            raise HTTPException(404, "no such study")
        content = {
            "uid": uid,
            "story": story,
            "jobs": self._overview.jobs(uid),
            "deliveries": self._overview.deliveries(uid),
        }
        content["key_slices"] = {
            row["result_set_id"]: self._key_slices(row["picture"]) for row in content["jobs"]
        }
        return TEMPLATES.TemplateResponse(request, "study.html", content)

    def picture(self, request: Request) -> Response:
        """Show the overlay picture of a result set.

        Raises
        ------
        HTTPException
            404: there is no such result set, or it has no picture.
        """
        return self._drawn(self._overlay(request))

    def key_slice(self, request: Request) -> Response:
        """Show one key slice of a result set.

        Raises
        ------
        HTTPException
            404: there is no such result set, or it has no such key slice.
        """
        number = request.path_params["number"]
        if _NUMBER.fullmatch(number) is None:
            raise HTTPException(404, "no such picture")
        overlay = self._overlay(request)
        return self._drawn(overlay and overlay.with_name(key_slice(int(number))))

    def _overlay(self, request: Request) -> Path | None:
        wanted = request.path_params["result_set_id"]
        return next(
            (
                self._root / row["picture"]
                for row in self._overview.jobs()
                if row["result_set_id"] == wanted and row["picture"] is not None
            ),
            None,
        )

    def _drawn(self, path: Path | None) -> Response:
        if path is None or not path.is_file():
            raise HTTPException(404, "no such picture")
        return FileResponse(path, media_type="image/png")

    def _key_slices(self, overlay: str | None) -> list[dict[str, Any]]:
        """Return what the key slices beside an overlay show; none while they are not drawn."""
        if overlay is None:
            return []
        try:
            told = (self._root / overlay).with_name(KEY_SLICES).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        shown: list[dict[str, Any]] = json.loads(told)
        return shown

    def api_studies(self, _: Request) -> Response:
        """List studies as JSON."""
        return JSONResponse(self._overview.studies())

    def api_jobs(self, _: Request) -> Response:
        """List jobs as JSON."""
        return JSONResponse(self._overview.jobs())

    def api_deliveries(self, _: Request) -> Response:
        """List deliveries as JSON."""
        return JSONResponse(self._overview.deliveries())

    def api_destinations(self, _: Request) -> Response:
        """List how destinations fare as JSON."""
        return JSONResponse(self._overview.destinations())

    def health(self, _: Request) -> Response:
        """Answer 200 while the database can be read."""
        self._overview.counts()
        return JSONResponse({"status": "ok"})

    def metrics(self, _: Request) -> Response:
        """Expose the metrics for Prometheus."""
        counts = {**self._overview.counts(), "unrecorded": self._promises.counts()}
        return PlainTextResponse(exposition(counts))


def application(viewing: Viewing) -> Starlette:
    """Return the status page as an ASGI application."""
    served = Starlette(routes=Pages(viewing).routes())
    # an address with one slash too many is none: the redirection reads the query, and not all bytes are text
    served.router.redirect_slashes = False
    return served


def run(viewing: Viewing, settings: WebTable) -> None:
    """Serve the status page until SIGTERM."""
    uvicorn.run(
        application(viewing),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
    )

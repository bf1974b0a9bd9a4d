"""OHIF's page as a radiologist's hands and eyes have it: open a study, open a series, look at pixels."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page

TIMEOUT_MS = 60_000
"""For whatever the page is waited for: on two busy cores without a GPU."""

_SIZE = {"width": 1280, "height": 800}

_RENDERED = """() => window.cornerstone?.getRenderingEngines().flatMap(engine => engine.getViewports())
    .some(viewport => viewport.viewportStatus === 'rendered')"""

_ACTIVE = """(() => {
    const {activeViewportId} = window.services.viewportGridService.getState();
    return window.services.cornerstoneViewportService.getCornerstoneViewport(activeViewportId);
})()"""

_LOOK = f"""(places) => {{
    const viewport = {_ACTIVE};
    const canvas = viewport.getCanvas();
    const {{width, height}} = canvas;
    const {{data}} = canvas.getContext('2d').getImageData(0, 0, width, height);
    let text = '';
    for (let start = 0; start < data.length; start += 32768)
        text += String.fromCharCode(...data.subarray(start, start + 32768));
    return {{width, height, rgba: btoa(text), points: places.map(place => viewport.worldToCanvas(place))}};
}}"""

_SHOW = f"""async (part) => {{
    const viewport = {_ACTIVE};
    const index = viewport.getImageIds().findIndex(id => id.includes(part));
    if (index >= 0) await viewport.setImageIdIndex(index);
    return viewport.getCurrentImageId();
}}"""

_OPENED = """(modality) => window.services.viewportGridService.getState().viewports.values()
    .toArray().flatMap(viewport => viewport.displaySetInstanceUIDs)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a viewport shows.

    Parameters
    ----------
    rgb
        Its pixels, shape ``(height, width, 3)``.
    points
        Where the page itself says that the places asked for are drawn, as (x, y) in pixels.
    """

    rgb: NDArray[np.uint8]
    points: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """One page of OHIF.

    Parameters
    ----------
    errors
        What the console was told as an error, and what the page did not catch.
    """

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)

    def open_study(self, study_instance_uid: str) -> None:
        """Open a study, and wait until its first image is drawn."""
        self.page.goto(f"{self.url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self.page.wait_for_function(_RENDERED, timeout=TIMEOUT_MS)

    def thumbnails(self) -> list[str]:
        """Texts of the series that are listed, those without a picture among them."""
        return self.page.locator('[data-cy^="study-browser-thumbnail"]').all_inner_texts()

    def open_series(self, series_number: int) -> None:
        """Open a series as a reader does: by a double click on its thumbnail."""
        listed = self.page.locator('[data-cy^="study-browser-thumbnail"]')
        listed.filter(has_text=f"S:{series_number}").first.dblclick(timeout=TIMEOUT_MS)

    def rows(self) -> list[str]:
        """Titles of the rows of the panel on the right: segments, or measurements."""
        return self.page.locator('[data-cy="data-row-title"]').all_inner_texts()

    def details(self) -> list[str]:
        """Lines below the rows: values of measurements."""
        return self.page.locator('[data-cy="data-row-detail-line"]').all_inner_texts()

    def colours(self) -> list[tuple[int, int, int]]:
        """Colours beside the rows."""
        found = self.page.locator('[data-cy="data-row-colorhex"]').evaluate_all(
            r"dots => dots.map(dot => getComputedStyle(dot).backgroundColor.match(/\d+/g).slice(0, 3).map(Number))"
        )
        return [(red, green, blue) for red, green, blue in found]

    def show(self, part: str) -> None:
        """Scroll the active viewport to the image whose address holds `part`."""
        shown = self.page.evaluate(_SHOW, part)
        assert part in str(shown), f"the viewport shows {shown}, not {part}"

    def look(self, places: Sequence[Sequence[float]] = ()) -> Seen:
        """Read the active viewport's pixels, and where it draws `places` (LPS, mm)."""
        found: dict[str, Any] = self.page.evaluate(_LOOK, [list(map(float, p)) for p in places])
        rgba = np.frombuffer(base64.b64decode(found["rgba"]), np.uint8)
        pixels = rgba.reshape(found["height"], found["width"], 4)
        return Seen(rgb=pixels[..., :3], points=np.array(found["points"], dtype=np.float64))

    def keep(self, name: str, folder: Path) -> Path:
        """Write a picture of the page."""
        path = folder / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Let the page go on until `condition` holds.

        Playwright's page lives only while it is waited for, so this is no sleep of ours.
        """
        for _ in range(TIMEOUT_MS // 100):
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"waited {TIMEOUT_MS / 1000:g} s for {what}; errors: {self.errors}")


def opened(browser: Browser, url: str) -> Viewer:
    """Open an empty page that greets nobody with a tour."""
    context = browser.new_context(viewport=_SIZE, service_workers="block")
    context.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
    page = context.new_page()
    viewer = Viewer(page=page, url=url)
    page.on("console", lambda message: _note(viewer, message))
    page.on("pageerror", lambda error: viewer.errors.append(f"not caught: {error}"))
    return viewer


def _note(viewer: Viewer, message: ConsoleMessage) -> None:
    if message.type == "error":
        viewer.errors.append(message.text)

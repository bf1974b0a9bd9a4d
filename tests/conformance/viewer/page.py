"""OHIF's page as a radiologist's hands and eyes have it: open a study, open a series, look at pixels."""

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize

TIMEOUT_MS = 60_000
"""For whatever the page is waited for: on two busy cores without a GPU."""

SEGMENTATIONS, MEASUREMENTS = "panelSegmentation", "trackedMeasurements"
"""Panels, as the page calls them."""

_SIZE: ViewportSize = {"width": 1280, "height": 800}

_THUMBNAIL = '[data-cy^="study-browser-thumbnail"]'

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
    const index = viewport.getImageIds().findIndex(id => id.endsWith(part));
    if (index >= 0) await viewport.setImageIdIndex(index);
    return viewport.getCurrentImageId();
}}"""

_WINDOW = f"""([lower, upper]) => {{
    const viewport = {_ACTIVE};
    viewport.setProperties({{voiRange: {{lower, upper}}}});
    viewport.render();
}}"""

_CONTOUR = """() => [...document.querySelectorAll('[data-cy="viewport-pane"] svg.svg-layer > polyline')]
    .map(line => line.getAttribute('points').trim().split(/[ ,]+/).map(Number))"""

_COLOUR = r"""dots => dots.map(dot =>
    getComputedStyle(dot).backgroundColor.match(/\d+/g).slice(0, 3).map(Number))"""


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
        return self.page.locator(_THUMBNAIL).all_inner_texts()

    def open_series(self, series_number: int) -> None:
        """Open a series as a reader does: by a double click on its thumbnail."""
        listed = self.page.locator(_THUMBNAIL).filter(has_text=f"S:{series_number}")
        listed.first.dblclick(timeout=TIMEOUT_MS)

    def open_panel(self, name: str) -> None:
        """Open the panel of `SEGMENTATIONS` or of `MEASUREMENTS`, on the right."""
        self.page.locator(f'[data-cy="{name}-btn"]').first.click(timeout=TIMEOUT_MS)

    def rows(self) -> list[str]:
        """Titles of the rows of the panel on the right: segments, or measurements."""
        return self.page.locator('[data-cy="data-row-title"]').all_inner_texts()

    def colours(self) -> list[tuple[int, int, int]]:
        """Colours beside the rows."""
        found = self.page.locator('[data-cy="data-row-colorhex"]').evaluate_all(_COLOUR)
        return [(red, green, blue) for red, green, blue in found]

    def next_measurement(self) -> None:
        """Go to the next measurement of a report by the arrow over the image."""
        self.page.locator('[data-cy="viewport-action-arrows-right"]').click(timeout=TIMEOUT_MS)

    def text(self) -> str:
        """Return what is written over the image, measurements among it, and on the panels."""
        return self.page.locator("body").inner_text()

    def contours(self) -> list[NDArray[np.float64]]:
        """Lines that are drawn over the image, as (x, y) in pixels."""
        found: list[list[float]] = self.page.evaluate(_CONTOUR)
        return [np.array(line, np.float64).reshape(-1, 2) for line in found]

    def shown(self) -> str:
        """Address of the image in the active viewport, which ends in its UID and frame number."""
        return str(self.page.evaluate(f"() => {_ACTIVE}.getCurrentImageId()"))

    def image_count(self) -> int:
        """How many images the active viewport can scroll through; 0 while there is none."""
        return int(self.page.evaluate(f"() => {_ACTIVE}?.getImageIds().length ?? 0"))

    def show(self, part: str) -> None:
        """Scroll the active viewport to the image whose address ends in `part`."""
        shown = str(self.page.evaluate(_SHOW, part))
        assert shown.endswith(part), f"the viewport shows {shown}, not {part}"

    def window(self, lower: float, upper: float) -> None:
        """Set the window by its lowest and highest value, as a reader does with the mouse."""
        self.page.evaluate(_WINDOW, [lower, upper])

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

    def close(self) -> None:
        """Close the page, and forget all that the browser kept of it."""
        self.page.context.close()

    def wait_for(
        self, condition: Callable[[], bool], *, deadline_s: float = TIMEOUT_MS / 1000
    ) -> bool:
        """Let the page go on until `condition` holds; tell whether it did before the deadline.

        Playwright's page lives only while it is waited for, so this is no sleep of ours.
        """
        deadline = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.page.wait_for_timeout(100)
        return True


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

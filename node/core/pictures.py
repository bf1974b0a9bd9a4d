"""The pictures of a result among its files: what they are called, and which stand beside which.

The overlay has a record; the key slices and what they show stand beside it and share its fate.
"""

import re
from pathlib import PurePosixPath

OVERLAY = "overlay.png"
"""Three planes through what was found."""

KEY_SLICES = "key-slices.json"
"""What each key slice shows; written when all of them are there."""

PAGE = "key-slices.pdf"
"""The result on one page, for a destination that is a record; kept before the results are, unlike the others.

Named so that it stands before the overlay and behind all else in the order of paths, as they do.
"""

_BESIDE = re.compile(r"key-slice-[0-9]{1,3}\.png|key-slices\.(json|pdf)")


def key_slice(number: int) -> str:
    """Return the name of a key slice's picture; they are numbered from 1."""
    return f"key-slice-{number}.png"


def overlay_of(path: str) -> str | None:
    """Return where the overlay is that a file stands beside; None for a file that stands beside none."""
    one = PurePosixPath(path)
    return str(one.with_name(OVERLAY)) if _BESIDE.fullmatch(one.name) else None


def is_beside(path: str, overlay: str) -> bool:
    """Whether a file stands beside an overlay and shares its fate; both paths relative to one root."""
    return overlay_of(path) == overlay

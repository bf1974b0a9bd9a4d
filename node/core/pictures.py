"""The pictures of a result among its files: what they are called, and which stand beside which.

The overlay has a record; the key slices and what they show stand beside it and share its fate.
"""

import re
from pathlib import PurePosixPath

OVERLAY = "overlay.png"
"""Three planes through what was found."""

KEY_SLICES = "key-slices.json"
"""What each key slice shows; written when all of them are there."""

_BESIDE = re.compile(r"key-slice-[0-9]{1,3}\.png|key-slices\.json")


def key_slice(number: int) -> str:
    """Return the name of a key slice's picture; they are numbered from 1."""
    return f"key-slice-{number}.png"


def is_beside(path: str, overlay: str) -> bool:
    """Whether a file stands beside an overlay and shares its fate; both paths relative to one root."""
    one, other = PurePosixPath(path), PurePosixPath(overlay)
    return (
        other.name == OVERLAY
        and one.parent == other.parent
        and _BESIDE.fullmatch(one.name) is not None
    )

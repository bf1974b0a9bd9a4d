"""The documents as the tests read them: sections by heading, rows of tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """Text of one document, by its path inside ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, down to the next one; empty when there is no such heading."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return found.group(1) if found else ""


def rows(text: str) -> dict[str, list[str]]:
    """Cells of every table row whose first cell begins with code, by that code."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("| ").split(" | "))
            found[first.split("`")[1]] = rest
    return found

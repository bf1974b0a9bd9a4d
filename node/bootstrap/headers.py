"""What is read of every header: what each site needs, and what this one asks for; and what compares two."""

from pathlib import Path
from typing import TYPE_CHECKING

from node.bootstrap.models import routes
from node.errors import SettingsInvalid
from node.settings import Settings
from node.telemetry import log_failure

if TYPE_CHECKING:
    from node.dicom.header import HeaderReader
    from node.pipeline.receive import Compare


def header_reader(settings: Settings) -> "HeaderReader":
    """Return what reads the headers of arriving instances: rules, cards and trusted counts ask."""
    from node.dicom.header import HeaderReader

    return HeaderReader(_asked(settings), settings.private_counts)


def _asked(settings: Settings) -> frozenset[str]:
    """Return what rules and cards ask of a header."""
    try:
        return routes(settings).keys
    except SettingsInvalid as error:
        # a card that is wrong stops the roles that work with it; what is sent is received all the same
        log_failure("cards not read", error)
        return routes(settings, {}).keys


def comparer(root: Path) -> "Compare":
    """Return what compares an arriving instance with a kept file, by its path under `root`."""
    from node.dicom.pixels import compare

    return lambda path, arriving: compare(root / path, arriving)

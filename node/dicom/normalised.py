"""What the handlers of normalised requests have in common: whose request it is, and the status it gets."""

from collections.abc import Callable
from typing import Any

from pydicom import Dataset
from pynetdicom.events import Event

from node.dicom import status
from node.errors import Declined, OutOfResources
from node.telemetry import log

Answer = tuple[int | Dataset, None]


def answered(work: Callable[[Any, str], int | Dataset], event: Event, peer: str) -> Answer:
    """Do what a request asks for; what is declined, or cannot be written now, is told by its status."""
    try:
        return work(event, peer), None
    except Declined as error:
        log("request declined", peer=peer, status=f"{error.status:04X}", detail=error.detail)
        return error.status, None
    except OutOfResources as error:
        code = status.RESOURCE_LIMITATION
        log("request declined", peer=peer, status=f"{code:04X}", detail=str(error))
        return code, None

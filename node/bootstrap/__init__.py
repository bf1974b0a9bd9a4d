"""Settings in, wired services out: one function for each role.

The only place that constructs adapters. Imports stand inside the functions, so that a role's process holds
nothing of the others': a listener knows neither torch nor FHIR.
"""

from node.bootstrap.delivering import Delivering, deliverer
from node.bootstrap.feed import feed_server
from node.bootstrap.intake import listener, record_arrivals
from node.bootstrap.introduction import key_sets
from node.bootstrap.keeping import Keeping, Nights, keeper
from node.bootstrap.messages import mllp_peer
from node.bootstrap.models import cards, model_server, routes
from node.bootstrap.reach import archive_index, dicom_peer, fhir_client, record
from node.bootstrap.state import (
    Viewing,
    all_parked,
    database,
    files,
    parked,
    reruns,
    retention_store,
    retractions,
    viewing,
)
from node.bootstrap.step import LaneStep, Step
from node.bootstrap.trying import trials
from node.bootstrap.work import analyser

__all__ = [
    "Delivering",
    "Keeping",
    "LaneStep",
    "Nights",
    "Step",
    "Viewing",
    "all_parked",
    "analyser",
    "archive_index",
    "cards",
    "database",
    "deliverer",
    "dicom_peer",
    "feed_server",
    "fhir_client",
    "files",
    "keeper",
    "key_sets",
    "listener",
    "mllp_peer",
    "model_server",
    "parked",
    "record",
    "record_arrivals",
    "reruns",
    "retention_store",
    "retractions",
    "routes",
    "trials",
    "viewing",
]

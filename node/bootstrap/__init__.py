"""Settings in, wired services out: one function for each role.

The only place that constructs adapters. Imports stand inside the functions, so that a role's process holds
nothing of the others': a listener knows neither torch nor FHIR.
"""

from node.bootstrap.intake import listener
from node.bootstrap.keeping import Keeping, Nights, keeper
from node.bootstrap.models import cards, model_server, routes
from node.bootstrap.reach import archive_index, dicom_peer, fhir_client, mllp_peer, record
from node.bootstrap.state import (
    Viewing,
    database,
    files,
    parked,
    reruns,
    retention_store,
    retractions,
    viewing,
)
from node.bootstrap.step import Step
from node.bootstrap.work import analyser, deliverer

__all__ = [
    "Keeping",
    "Nights",
    "Step",
    "Viewing",
    "analyser",
    "archive_index",
    "cards",
    "database",
    "deliverer",
    "dicom_peer",
    "fhir_client",
    "files",
    "keeper",
    "listener",
    "mllp_peer",
    "model_server",
    "parked",
    "record",
    "reruns",
    "retention_store",
    "retractions",
    "routes",
    "viewing",
]

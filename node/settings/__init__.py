"""The configuration: one TOML file and the environment, frozen, rejected whole with every error at once.

Environment variables override single values: ``OVERREAD_NODE__DATA=/srv/overread`` sets ``data`` of
``[node]``. Secrets are named by the environment variable that holds them and never stand in the file.
"""

from node.settings.file import load
from node.settings.oru import OruTable, OruTlsTable
from node.settings.peers import DicomwebTable, FhirTable, OrthancTable, Peer
from node.settings.profiles import ProfileTable
from node.settings.rules import ExcludeTable, RuleTable
from node.settings.tables import (
    CommitmentTable,
    InferenceTable,
    LedgerTable,
    ListenerTable,
    NodeTable,
    QueueTable,
    RetentionTable,
    TlsTable,
    WebTable,
)
from node.settings.whole import Settings

__all__ = [
    "CommitmentTable",
    "DicomwebTable",
    "ExcludeTable",
    "FhirTable",
    "InferenceTable",
    "LedgerTable",
    "ListenerTable",
    "NodeTable",
    "OrthancTable",
    "OruTable",
    "OruTlsTable",
    "Peer",
    "ProfileTable",
    "QueueTable",
    "RetentionTable",
    "RuleTable",
    "Settings",
    "TlsTable",
    "WebTable",
    "load",
]

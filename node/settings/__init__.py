"""The configuration: one TOML file and the environment, frozen, rejected whole with every error at once.

Environment variables override single values: ``OVERREAD_NODE__DATA=/srv/overread`` sets ``data`` of
``[node]``. Secrets never stand in the file: it names their place (`node.settings.secrets`).
"""

from node.settings.auth import AuthTable
from node.settings.certificates import ClientTlsTable, OruTlsTable, PeerTlsTable
from node.settings.delivery import DeliveryTable
from node.settings.ehr_results import EhrResultsTable
from node.settings.file import load
from node.settings.identity import IdentityTable
from node.settings.orders import FeedTable, Hl7Table, OrdersTable
from node.settings.oru import OruTable
from node.settings.pacs import PeerCommitmentTable
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
    "AuthTable",
    "ClientTlsTable",
    "CommitmentTable",
    "DeliveryTable",
    "DicomwebTable",
    "EhrResultsTable",
    "ExcludeTable",
    "FeedTable",
    "FhirTable",
    "Hl7Table",
    "IdentityTable",
    "InferenceTable",
    "LedgerTable",
    "ListenerTable",
    "NodeTable",
    "OrdersTable",
    "OrthancTable",
    "OruTable",
    "OruTlsTable",
    "Peer",
    "PeerCommitmentTable",
    "PeerTlsTable",
    "ProfileTable",
    "QueueTable",
    "RetentionTable",
    "RuleTable",
    "Settings",
    "TlsTable",
    "WebTable",
    "load",
]

"""The tables of the node itself."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

import inference.models
from node.settings.kinds import AeTitle, ClockTime, Port, Seconds, Share, Table, TimeZone, Uid


class NodeTable(Table):
    """``[node]``: who we are and where we keep things."""

    data: Path = Field(description="Folder of files, database and queue; on a local disk.")
    ae_title: AeTitle = Field("OVERREAD", description="Our AE title, called and calling.")
    uid_root: str = Field(
        "2.25",
        max_length=43,
        pattern=r"^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$",
        description="Root of the UIDs of our results.",
    )
    station_name: str = Field(
        "overread", description="Device Serial Number of the node in results."
    )


class TlsTable(Table):
    """``[listener.tls]``: PEM files of DICOM TLS; they may be replaced while the listener runs."""

    certificate: Path = Field(description="Our certificate with its chain.")
    key: Path = Field(description="Its private key.")
    authorities: Path = Field(description="Authorities whose certificates a peer may show.")


class ListenerTable(Table):
    """``[listener]``: the Storage SCP."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(11112, description="TCP port to listen on.")
    maximum_pdu_bytes: int = Field(
        1 << 20, ge=4096, le=1 << 27, description="Maximum PDU length that we advertise."
    )
    processes: int = Field(
        2, ge=1, le=64, description="Processes that share the port; each serves many associations."
    )
    maximum_associations: int = Field(
        50, ge=1, description="Associations at one time, over all processes."
    )
    idle_timeout_s: Seconds = Field(
        60.0, description="Silence after which an association is aborted; the longest for one PDU."
    )
    handshake_timeout_s: Seconds = Field(
        10.0, description="Longest TLS handshake, and longest wait for an association request."
    )
    fsync: bool = Field(
        True, description="`false`: Success before an instance is on the disk; power loss loses it."
    )
    disk_high: Share = Field(
        0.90, description="Share of disk or inodes in use at which associations are refused."
    )
    disk_low: Share = Field(0.85, description="Share in use at which they are admitted again.")
    disk_full: Share = Field(
        0.97, description="Share in use at which instances are refused (A700)."
    )
    sop_classes: tuple[Uid, ...] = Field(
        (), description="Storage SOP classes that are taken besides the known ones."
    )
    tls: TlsTable | None = Field(None, description="DICOM TLS; none for a port without.")

    @model_validator(mode="after")
    def _ordered(self) -> "ListenerTable":
        if not self.disk_low <= self.disk_high <= self.disk_full:
            raise ValueError("disk_low, disk_high and disk_full must ascend")
        others = [uid for uid in self.sop_classes if _of_another_service(uid)]
        if others:
            raise ValueError(f"sop_classes: no storage SOP class: {', '.join(others)}")
        return self


class QueueTable(Table):
    """``[queue]``: Celery, which only rings the bell."""

    broker: str = Field(
        "",
        description="Celery broker URL; empty for a folder inside `data` (kombu's filesystem transport).",
    )
    lease_s: Seconds = Field(60.0, description="How long a claimed job stays with a silent worker.")
    ring_again_s: Seconds = Field(
        15.0, description="A bell that nobody answered is rung again after this."
    )
    attempts: int = Field(
        5, ge=1, description="Workers that may claim a job and fall silent before it is parked."
    )


class InferenceTable(Table):
    """``[inference]``: models and the server that runs them."""

    models: Path = Field(
        Path(inference.models.__path__[0]),
        description="Triton model repository with one card per model.",
    )
    host: str = Field("127.0.0.1", description="Host of the Triton server.")
    http_port: Port = Field(8000, description="Triton's HTTP port.")
    grpc_port: Port = Field(8001, description="Triton's gRPC port.")
    metrics_port: Port = Field(8002, description="Triton's metrics port.")
    server: Literal["triton", "in-process"] = Field(
        "triton", description="`in-process` runs the models inside the worker, without Triton."
    )
    ready_timeout_s: Seconds = Field(
        60.0, description="How long to wait for Triton before the models run in process."
    )


class CommitmentTable(Table):
    """``[commitment]``: Storage Commitment Push Model as SCP."""

    enabled: bool = Field(
        False, description="Take requests; a positive answer takes over safekeeping."
    )
    hold_days: float = Field(
        30.0, gt=0, le=36_500, description="How long committed instances are kept at least."
    )

    @property
    def hold_s(self) -> float:
        """`hold_days` in seconds."""
        return self.hold_days * 86_400.0


class WebTable(Table):
    """``[web]``: the status page."""

    host: str = Field("127.0.0.1", description="Address of the status page.")
    port: Port = Field(8100, description="Port of the status page.")


class LedgerTable(Table):
    """``[ledger]``: the account of everything that was acknowledged."""

    nightly_at: ClockTime = Field("03:00", description="When the keeper draws it up, once a day.")
    time_zone: TimeZone = Field("UTC", description="IANA time zone of `nightly_at`.")
    young_s: Seconds = Field(
        300.0, description="A file that is younger may be in no record without being a difference."
    )


class RetentionTable(Table):
    """``[retention]``: what may be deleted, and when; nothing unless it is said here."""

    keep_days: float | None = Field(
        None, ge=0, description="Days that a series is kept after its last delivery was confirmed."
    )
    unrouted_keep_days: float | None = Field(
        None, ge=0, description="Days that a series is kept that no rule wanted."
    )
    announcements_keep_days: float | None = Field(
        30.0,
        ge=0,
        description="Days that a list of a peer is kept after its series was dispatched.",
    )
    daily_at: ClockTime = Field("02:00", description="When the keeper deletes, once a day.")
    time_zone: TimeZone = Field("UTC", description="IANA time zone of `daily_at`.")


def _of_another_service(sop_class_uid: str) -> bool:
    """Whether DICOM itself has given a UID (PS3.6 Annex A), and not to a storage SOP class."""
    return sop_class_uid.startswith("1.2.840.10008.") and not sop_class_uid.startswith(
        "1.2.840.10008.5.1.4.1.1."
    )

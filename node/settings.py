"""The configuration: one TOML file and the environment, frozen, rejected whole with every error at once.

Environment variables override single values: ``OVERREAD_NODE__DATA=/srv/overread`` sets ``data`` of
``[node]``. Secrets are named by the environment variable that holds them and never stand in the file.
"""

import os
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

import inference.models
from inference.selection import Selection, SelectionInvalid, parse
from node.core.completeness import QuietTimes
from node.core.exclusion import BY_SITE, KINDS, Exclusion
from node.core.retention import Policy
from node.core.routing import Rule
from node.errors import SettingsInvalid

AeTitle = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$"
    ),
]
"""PS3.5 6.2, VR AE: 1 to 16 printable characters without backslash, spaces around it without meaning."""

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Network = IPv4Network | IPv6Network
Share = Annotated[float, Field(gt=0, le=1)]
Role = Literal["source", "archive", "ehr"]


class Table(BaseModel):
    """Base of every table of the file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    tls: TlsTable | None = Field(None, description="DICOM TLS; none for a port without.")

    @model_validator(mode="after")
    def _ordered(self) -> "ListenerTable":
        if not self.disk_low <= self.disk_high <= self.disk_full:
            raise ValueError("disk_low, disk_high and disk_full must ascend")
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


ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""A time of the day, ``HH:MM``."""


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name}") from error


TimeZone = Annotated[str, AfterValidator(_known_zone)]


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
    daily_at: ClockTime = Field("02:00", description="When the keeper deletes, once a day.")
    time_zone: TimeZone = Field("UTC", description="IANA time zone of `daily_at`.")


class FhirTable(Table):
    """``fhir`` of a peer: its FHIR R4 endpoint."""

    url: str = Field(pattern=r"^https?://", description="Base URL.")
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token."
    )
    timeout_s: Seconds = Field(10.0, description="Longest wait for one answer.")
    identifier_systems: dict[str, str] = Field(
        default_factory=dict, description="FHIR identifier.system of each Issuer of Patient ID."
    )


class Peer(Table):
    """``[[peer]]``: one system that we speak with."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,31}$", description="Our name for it.")
    roles: frozenset[Role] = Field(min_length=1, description="What it is to us.")
    ae_title: AeTitle | None = Field(None, description="Its AE title.")
    host: str | None = Field(None, description="Its address.")
    port: Port | None = Field(None, description="Its port; none for a peer that only calls us.")
    addresses: tuple[Network, ...] = Field(
        (), description="Networks it calls from; empty for its `host` when that is an address."
    )
    certificate_names: frozenset[str] = Field(
        frozenset(), description="Names of its TLS certificate; empty for any that is trusted."
    )
    timeout_s: Seconds = Field(30.0, description="Longest wait for one DICOM answer.")
    default_issuer: str | None = Field(
        None, description="Issuer of Patient ID where its objects name none."
    )
    time_zone: str | None = Field(None, description="IANA time zone of its times without offset.")
    quiet_short_s: Seconds = Field(5.0, description="Quiet time after release (witness e).")
    quiet_long_s: Seconds = Field(
        120.0, description="Quiet time without other witness (witness f)."
    )
    archive: str | None = Field(
        None, description="Peer with the role archive that is asked whether its series are whole."
    )
    archive_again_s: Seconds = Field(
        3.0, description="Between two questions to that archive (witness c)."
    )
    trusted_counts: tuple[Literal["ImagesInAcquisition", "NumberOfSlices"], ...] = Field(
        (), description="Attributes of its images that truly say how many there are (witness b)."
    )
    results_to: tuple[str, ...] = Field(
        (), description="Peers that get the results of its studies."
    )
    priority: int = Field(0, description="How urgent its studies are; higher is more urgent.")
    fhir: FhirTable | None = Field(None, description="Its FHIR endpoint, for the role `ehr`.")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"there is no time zone {name}") from error

    @model_validator(mode="after")
    def _complete(self) -> "Peer":
        if "ehr" in self.roles and self.fhir is None:
            raise ValueError("a peer with the role ehr needs fhir.url")
        if "source" in self.roles and self.ae_title is None:
            raise ValueError("a peer with the role source needs ae_title")
        if "archive" in self.roles and not (self.ae_title and self.host and self.port):
            raise ValueError("a peer with the role archive needs ae_title, host and port")
        return self

    @property
    def calls_from(self) -> tuple[Network, ...]:
        """Networks that it calls from; empty when nothing is known of them."""
        if self.addresses or self.host is None:
            return self.addresses
        try:
            return (ip_network(self.host),)
        except ValueError:  # a name: who answers to it may change, and asking would delay everybody
            return ()

    @property
    def quiet(self) -> QuietTimes:
        """Its quiet times."""
        return QuietTimes(
            short_s=self.quiet_short_s,
            long_s=self.quiet_long_s,
            apart_s=self.archive_again_s,
            counts=self.trusted_counts,
        )


class RuleTable(Table):
    """``[[rule]]``: which series go to which model."""

    name: str = Field(min_length=1, description="For people; it stands in every job it makes.")
    model: str = Field(description="Name of the model's folder in the repository.")
    select: dict[str, Any] = Field(
        default_factory=dict, description="Criteria over DICOM keywords (the selection language)."
    )
    destinations: tuple[str, ...] = Field(
        (), description="Peers; empty for the source's `results_to`."
    )
    priority: int = Field(0, description="Higher is more urgent.")
    prefer: tuple[dict[str, Any], ...] = Field(
        (), description="Which series is best, in this order; one series of a study is read."
    )
    wait_s: Seconds | None = Field(
        None, description="How long a lesser series waits for a better one."
    )
    deadline_s: Seconds | None = Field(None, description="When the study should be analysed.")
    keep_days: float | None = Field(
        None, ge=0, description="Days that its series are kept after all deliveries were confirmed."
    )

    @model_validator(mode="after")
    def _selectable(self) -> "RuleTable":
        faults = _faults("select", self.select)
        for place, wish in enumerate(self.prefer):
            faults += _faults(f"prefer.{place}", wish)
        if self.wait_s is not None and not self.prefer:
            faults.append("wait_s: there is nothing to wait for without prefer")
        if faults:
            raise SelectionInvalid(faults)
        return self

    def rule(self) -> Rule:
        """Return the rule as the core knows it."""
        selection: Selection = parse(self.select)
        return Rule(
            name=self.name,
            model=self.model,
            select=selection,
            destinations=self.destinations,
            priority=self.priority,
            prefer=tuple(parse(wish) for wish in self.prefer),
            wait_s=self.wait_s,
            deadline_s=self.deadline_s,
        )


class ExcludeTable(Table):
    """``[exclude]``: what no rule is asked about."""

    phantoms: bool = Field(True, description="Phantoms and quality control.")
    localisers: bool = Field(True, description="Localisers.")
    dose_reports: bool = Field(True, description="Dose reports and dose pages.")
    secondary_captures: bool = Field(True, description="Secondary captures.")
    burned_in: bool = Field(True, description="Images with text in their pixels.")
    more: tuple[dict[str, Any], ...] = Field((), description="The site's own, as criteria.")

    @model_validator(mode="after")
    def _selectable(self) -> "ExcludeTable":
        faults = [fault for i, one in enumerate(self.more) for fault in _faults(f"more.{i}", one)]
        faults += [f"more.{i}: would exclude all" for i, one in enumerate(self.more) if not one]
        if faults:
            raise SelectionInvalid(faults)
        return self

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """The exclusions as the core knows them."""
        own = tuple(Exclusion(reason=BY_SITE, select=parse(one)) for one in self.more)
        kinds = (KINDS[name] for name in KINDS if getattr(self, name))
        return (*(one for kind in kinds for one in kind), *own)


def _faults(where: str, table: Mapping[str, Any]) -> list[str]:
    try:
        parse(table)
    except SelectionInvalid as error:
        return [f"{where}.{fault}" for fault in error.faults]
    return []


class Settings(Table):
    """The whole configuration."""

    node: NodeTable
    listener: ListenerTable = ListenerTable()
    queue: QueueTable = QueueTable()
    inference: InferenceTable = InferenceTable()
    web: WebTable = WebTable()
    commitment: CommitmentTable = CommitmentTable()
    ledger: LedgerTable = LedgerTable()
    retention: RetentionTable = RetentionTable()
    peer: tuple[Peer, ...] = ()
    rule: tuple[RuleTable, ...] = ()
    exclude: ExcludeTable = ExcludeTable()

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        names = [f"name {peer.name}" for peer in self.peer]
        # two peers with one title could not be told apart when they call: whose issuer would count?
        names += [f"ae_title {peer.ae_title}" for peer in self.peer if peer.ae_title]
        doubled = {name for name in names if names.count(name) > 1}
        wanted = {(f"peer {p.name}: results_to", d) for p in self.peer for d in p.results_to}
        wanted |= {(f"rule {r.name}: destinations", d) for r in self.rule for d in r.destinations}
        takers = {peer.name for peer in self.peer if peer.roles & {"archive", "ehr"}}
        faults = [f"peer: the {name} is used twice" for name in sorted(doubled)]
        faults += [
            f"{where}: no peer {name} with the role archive or ehr"
            for where, name in sorted(wanted)
            if name not in takers
        ]
        archives = {peer.name for peer in self.peer if "archive" in peer.roles}
        faults += [
            f"peer {peer.name}: archive: no peer {peer.archive} with the role archive"
            for peer in self.peer
            if peer.archive is not None and peer.archive not in archives
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def peer_named(self, name: str) -> Peer:
        """Return the peer with this name.

        One that was taken out of the file is answered with the defaults: the studies that it sent before
        are finished all the same.
        """
        former = Peer.model_construct(name=name, roles=frozenset())
        return next((peer for peer in self.peer if peer.name == name), former)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as the core knows them."""
        return tuple(table.rule() for table in self.rule)

    @property
    def retention_policy(self) -> Policy:
        """What may be deleted and when, as the core knows it."""
        return Policy(
            keep_days=self.retention.keep_days,
            unrouted_keep_days=self.retention.unrouted_keep_days,
            rules={
                rule.name: self.retention.keep_days if rule.keep_days is None else rule.keep_days
                for rule in self.rule
            },
        )


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    Raises
    ------
    SettingsInvalid
        The file is absent or wrong; every error is told at once.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid((f"{path}: {error.strerror}",)) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid((f"{path}: {error}",)) from error
    _override(table, path, os.environ if environment is None else environment)
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise SettingsInvalid(
            tuple(told for fault in error.errors() for told in _told(path, table, fault))
        ) from error


def _told(path: Path, table: Mapping[str, Any], fault: ErrorDetails) -> list[str]:
    """Say one error of the file, a rule by its name; one of criteria is as many as it holds."""
    place = [str(part) for part in fault["loc"]]
    if len(place) > 1 and place[0] == "rule":
        name = table["rule"][int(place[1])].get("name", place[1])
        place = [f'rule "{name}"', ".".join(place[2:])]
    else:
        place = [".".join(place) or "file"]
    cause = fault.get("ctx", {}).get("error")
    words = cause.faults if isinstance(cause, SelectionInvalid) else (fault["msg"],)
    return [": ".join(part for part in (str(path), *place, word) if part) for word in words]


def _override(table: dict[str, Any], path: Path, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        section, _, key = name.removeprefix("OVERREAD_").lower().partition("__")
        if name.startswith("OVERREAD_") and key:
            values = table.setdefault(section, {})
            if not isinstance(values, dict):
                raise SettingsInvalid((f"{name}: {section} in {path} is no single table",))
            values[key] = value

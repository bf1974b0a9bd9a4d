"""Where orders come from, and who may tell of patients: ``[hl7]``, ``[orders]``, ``feed`` of a peer."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from integrations.hl7.charsets import ENCODINGS
from node.settings.kinds import Port, Seconds, Table
from node.settings.tables import TlsTable


def _known_set(name: str) -> str:
    if name.upper() not in ENCODINGS:
        raise ValueError(f"no character set of HL7 table 0211 that is read here: {name}")
    return name.upper()


CharacterSet = Annotated[str, AfterValidator(_known_set)]
MessageKind = Annotated[str, Field(pattern=r"^[A-Z]{3}\^[A-Z0-9]{3}$")]


class FeedTable(Table):
    """``feed`` of a peer: how its messages of HL7 version 2 name it and its patients."""

    application: str = Field(min_length=1, description="Sending application (MSH-3.1).")
    facility: str = Field("", description="Sending facility (MSH-4.1).")
    issuers: dict[str, str] = Field(
        default_factory=dict,
        description="Issuer of Patient ID of each assigning authority (CX-4) that is written otherwise.",
    )


class Hl7Table(Table):
    """``[hl7]``: the role that receives messages of HL7 version 2."""

    enabled: bool = Field(False, description="Run it.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(2575, description="TCP port to listen on.")
    application: str = Field("OVERREAD", description="Sending application of our answers (MSH-3).")
    facility: str = Field("", description="Sending facility of our answers (MSH-4).")
    processing_ids: tuple[Literal["P", "T", "D"], ...] = Field(
        ("P",), min_length=1, description="Processing ids (MSH-11) that are taken."
    )
    character_set: CharacterSet = Field(
        "ASCII", description="Character set of messages that name none (MSH-18)."
    )
    ignored: tuple[MessageKind, ...] = Field(
        (), description='Kinds that are answered AA and not used, such as `"ADT^A01"`.'
    )
    maximum_message_bytes: int = Field(
        1 << 20,
        ge=1024,
        le=1 << 26,
        description="Longest message; a longer one ends its connection.",
    )
    maximum_connections: int = Field(20, ge=1, description="Connections at one time.")
    idle_timeout_s: Seconds = Field(
        3600.0, description="Silence after which a connection is closed."
    )
    message_timeout_s: Seconds = Field(
        30.0, description="Longest time from a message's first byte to its last."
    )
    handshake_timeout_s: Seconds = Field(10.0, description="Longest TLS handshake.")
    keep_days: float = Field(
        30.0, gt=0, description="Days that a message's control id and its answer are remembered."
    )
    tls: TlsTable | None = Field(None, description="TLS; none for a port without.")


class OrdersTable(Table):
    """``[orders]``: who is asked what was ordered, besides what a feed tells."""

    source: Literal["none", "hl7", "fhir", "worklist"] = Field(
        "none",
        description="`hl7`: the feed alone; `fhir`, `worklist`: `peer` is asked for each job.",
    )
    peer: str | None = Field(None, description="Who is asked.")
    accession_system: str | None = Field(
        None, description="FHIR identifier.system of accession numbers; none for any."
    )
    deadline_s: Seconds = Field(
        60.0, description="How long a job's order is asked for; the job waits for none of it."
    )
    keep_days: float = Field(
        400.0, gt=0, description="Days that an order is kept that led to no study."
    )

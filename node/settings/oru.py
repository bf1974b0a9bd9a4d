"""How a peer is given results by HL7 version 2: ``[peer.oru]``."""

from typing import Annotated, Literal

from pydantic import Field

from node.settings.certificates import OruTlsTable
from node.settings.kinds import Port, Seconds, Table

Name = Annotated[str, Field(pattern=r"^[^|^~\\&\r\n]*$")]
"""A name as it may stand in a header of HL7 version 2: without its delimiters."""
Authority = Annotated[
    str, Field(pattern=r"^[^|^~\\\r\n&]*(&[^|^~\\\r\n&]+&[A-Za-z0-9.]+)?$", min_length=1)
]
"""An assigning authority (HD): ``NAMESPACE``, ``NAMESPACE&OID&ISO`` or ``&OID&ISO``."""


class OruTable(Table):
    """``oru`` of a peer: it takes results as ORU^R01 of HL7 version 2.5.1 over MLLP."""

    host: str = Field(min_length=1, description="Its address.")
    port: Port = Field(description="Its port.")
    application: Name = Field("OVERREAD", min_length=1, description="Sending application (MSH-3).")
    facility: Name = Field("", description="Sending facility (MSH-4).")
    receiving_application: Name = Field("", description="Receiving application (MSH-5).")
    receiving_facility: Name = Field("", description="Receiving facility (MSH-6).")
    processing_id: Literal["P", "T", "D"] = Field("P", description="Processing id (MSH-11).")
    assigning_authorities: dict[str, Authority] = Field(
        default_factory=dict,
        description="Assigning authority (PID-3.4) of each Issuer of Patient ID that is written otherwise.",
    )
    accession_number: bool = Field(True, description="Tell the accession number (OBR-18).")
    placer_order_number: bool = Field(False, description="Tell the order's number (OBR-2).")
    withdrawn: Literal["W", "D"] = Field("W", description="Result status of a withdrawal (OBX-11).")
    on_error: Literal["retry", "park"] = Field("park", description="What AE means.")
    on_reject: Literal["retry", "park"] = Field("retry", description="What AR means.")
    timeout_s: Seconds = Field(30.0, description="Longest wait for an answer.")
    tls: OruTlsTable | None = Field(None, description="TLS; none without.")

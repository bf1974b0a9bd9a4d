"""What a peer that is an archive may be told besides its address: ``[peer.commitment]``."""

from pydantic import Field

from node.settings.kinds import AeTitle, Port, Seconds, Table


class PeerCommitmentTable(Table):
    """``commitment`` of a peer: it is an SCP of Storage Commitment, and is asked to commit results."""

    within_s: Seconds = Field(
        86_400.0, description="How long its report is awaited before it is asked what it holds."
    )
    linger_s: float = Field(
        1.0,
        ge=0,
        le=60,
        description="How long the association of the request stays open for the report.",
    )
    ae_title: AeTitle | None = Field(None, description="AE title of that service; the peer's.")
    host: str | None = Field(None, description="Its address; the peer's.")
    port: Port | None = Field(None, description="Its port; the peer's.")
    release_again_s: Seconds = Field(
        3600.0,
        description="Between two questions whether it has committed what `[commitment]` holds.",
    )

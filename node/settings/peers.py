"""The systems that the node speaks with: ``[[peer]]``."""

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from inference.selection import Selection
from node.core.completeness import QuietTimes
from node.core.lane import Lane
from node.settings.auth import ServiceTable
from node.settings.certificates import PeerTlsTable
from node.settings.delivery import DeliveryTable, criteria
from node.settings.ehr_results import EhrResultsTable
from node.settings.kinds import (
    TAKES_RESULTS,
    AeTitle,
    CountName,
    Network,
    Port,
    Role,
    Seconds,
    Table,
    TimeZone,
)
from node.settings.orders import FeedTable
from node.settings.oru import OruTable
from node.settings.pacs import PeerCommitmentTable
from node.settings.secrets import TokenTable


class FhirTable(ServiceTable):
    """``fhir`` of a peer: its FHIR R4 endpoint."""

    section = "fhir"

    identifier_systems: dict[str, str] = Field(
        default_factory=dict, description="FHIR identifier.system of each Issuer of Patient ID."
    )
    accession_system: str | None = Field(
        None, description="FHIR identifier.system of accession numbers."
    )
    context_timeout_s: Seconds = Field(
        10.0, description="Longest time for everything that is asked for one study."
    )
    requests_per_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Most requests in a second."
    )
    labels_allowed: frozenset[str] = Field(
        frozenset(), description="Sensitivity labels whose resources may be read all the same."
    )
    consents: bool = Field(True, description="Ask for the patients' Consents and heed them.")
    results: EhrResultsTable | None = Field(
        None, description="In which form it is given results, a table of its own."
    )


class DicomwebTable(ServiceTable):
    """``dicomweb`` of a peer: its DICOMweb service, asked by QIDO-RS, and given results by STOW-RS."""

    section = "dicomweb"

    store: bool = Field(False, description="Results are brought by STOW-RS instead of C-STORE.")

    @model_validator(mode="after")
    def _basic(self) -> "DicomwebTable":
        if self.auth is not None and self.auth.kind != "basic":
            raise ValueError('auth of dicomweb is a token, or kind = "basic"')
        return self


class OrthancTable(TokenTable):
    """``orthanc`` of a peer: the REST interface of an archive that is an Orthanc."""

    url: str = Field(pattern=r"^https?://", description="Base URL.")
    timeout_s: Seconds = Field(10.0, description="Longest wait for one answer.")


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
    time_zone: TimeZone | None = Field(
        None, description="IANA time zone of its times without offset."
    )
    quiet_short_s: Seconds = Field(5.0, description="Quiet time after release (witness e).")
    quiet_long_s: Seconds = Field(
        120.0, description="Quiet time without other witness (witness f)."
    )
    archive: str | None = Field(
        None, description="Peer with the role archive that is asked whether its series are whole."
    )
    retrieve: Literal["move", "get"] = Field(
        "move", description="How an archive is asked for what is missing: C-MOVE or C-GET."
    )
    archive_again_s: Seconds = Field(
        3.0, description="Between two questions to that archive (witness c)."
    )
    prior_wait_s: Seconds = Field(
        120.0, description="Longest wait for an earlier study that a model compares with."
    )
    trusted_counts: tuple[CountName, ...] = Field(
        (), description="Attributes of its images that truly say how many there are (witness b)."
    )
    results_to: tuple[str, ...] = Field(
        (), description="Peers that get the results of its studies."
    )
    on_correction: Literal["archive-corrects", "reissue"] = Field(
        "archive-corrects",
        description="What an archive gets that has a result whose patient is corrected later.",
    )
    profile: str | None = Field(
        None, description="In which forms an archive is given results: name of a profile."
    )
    withdrawal: Literal["none", "iocm", "delete"] = Field(
        "none", description="How results are taken back from an archive."
    )
    priority: int = Field(0, description="How urgent its studies are; higher is more urgent.")
    delivery: DeliveryTable | None = Field(
        None, description="How results are brought to it, a table of its own."
    )
    takes: tuple[dict[str, Any], ...] = Field(
        (), description="Which results it gets, as criteria; one of them suffices."
    )
    fhir: FhirTable | None = Field(None, description="Its FHIR endpoint, for the role `ehr`.")
    dicomweb: DicomwebTable | None = Field(
        None, description="Its DICOMweb service, asked instead of C-FIND; it may be given results."
    )
    orthanc: OrthancTable | None = Field(
        None, description='Its REST interface, for `withdrawal = "delete"`.'
    )
    commitment: bool | PeerCommitmentTable = Field(
        False, description="It commits what it took (Storage Commitment), and is asked to."
    )
    tls: PeerTlsTable | None = Field(
        None, description="DICOM TLS on the associations that we open; none without."
    )
    feed: FeedTable | None = Field(
        None, description="How its messages of HL7 version 2 name it, for the role `orders`."
    )
    oru: OruTable | None = Field(
        None, description="How it takes results by HL7 version 2, for the role `oru`."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Peer":
        criteria(self.takes)
        for wrong, said in self._contradictions():
            if wrong:
                raise ValueError(said)
        return self

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        """Say what would be wrong, and whether it is."""
        has, delete = self.roles.__contains__, self.withdrawal == "delete"
        called = self.associates
        return (
            (has("ehr") and self.fhir is None, "a peer with the role ehr needs fhir.url"),
            (has("source") and self.ae_title is None, "a peer with the role source needs ae_title"),
            (
                has("archive") and not (called or self.stows),
                "a peer with the role archive needs ae_title, host and port, or dicomweb.store",
            ),
            (
                has("orders") and not (self.feed or self.fhir or called),
                "a peer with the role orders needs feed, fhir.url, or ae_title, host and port",
            ),
            (
                self.dicomweb is not None and not has("archive"),
                "dicomweb is asked of a peer with the role archive",
            ),
            (
                bool(self.profile or self.withdrawal != "none") and not has("archive"),
                "profile and withdrawal are for a peer with the role archive",
            ),
            (
                bool(self.commitment) and not called,
                "commitment is for a peer with ae_title, host and port",
            ),
            (
                bool(self.takes) and not self.roles & TAKES_RESULTS,
                "takes is for a peer with the role archive, ehr or oru",
            ),
            (has("oru") != (self.oru is not None), "the role oru and oru.host go together"),
            (
                has("oru") and has("archive"),
                "what takes messages and what takes objects are two peers",
            ),
            (
                delete != (self.orthanc is not None),
                'withdrawal = "delete" and orthanc.url go together',
            ),
        )

    @property
    def associates(self) -> bool:
        """Whether we know where to open an association with it."""
        return bool(self.ae_title and self.host and self.port)

    @property
    def stows(self) -> bool:
        """Whether results are brought to it by STOW-RS."""
        return self.dicomweb is not None and self.dicomweb.store

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
    def commits(self) -> PeerCommitmentTable | None:
        """How it is asked to commit; None when it is not."""
        if isinstance(self.commitment, PeerCommitmentTable):
            return self.commitment
        return PeerCommitmentTable() if self.commitment else None

    @property
    def lane(self) -> Lane:
        """How results are brought to it, as the core knows it."""
        return (self.delivery or DeliveryTable()).lane(self.name)

    @property
    def criteria(self) -> tuple[Selection, ...]:
        """Which results it gets, as the core knows them."""
        return criteria(self.takes)

    @property
    def quiet(self) -> QuietTimes:
        """Its quiet times."""
        return QuietTimes(
            short_s=self.quiet_short_s,
            long_s=self.quiet_long_s,
            apart_s=self.archive_again_s,
            counts=self.trusted_counts,
        )

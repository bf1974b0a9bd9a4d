"""The systems that the node speaks with: ``[[peer]]``."""

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, model_validator

from node.core.completeness import QuietTimes
from node.settings.kinds import AeTitle, CountName, Network, Port, Role, Seconds, Table, TimeZone
from node.settings.oru import OruTable


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


class DicomwebTable(Table):
    """``dicomweb`` of a peer: its DICOMweb service, asked by QIDO-RS."""

    url: str = Field(pattern=r"^https?://", description="Root of the service.")
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token."
    )
    timeout_s: Seconds = Field(10.0, description="Longest wait for each part of an answer.")


class OrthancTable(Table):
    """``orthanc`` of a peer: the REST interface of an archive that is an Orthanc."""

    url: str = Field(pattern=r"^https?://", description="Base URL.")
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token."
    )
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
    fhir: FhirTable | None = Field(None, description="Its FHIR endpoint, for the role `ehr`.")
    dicomweb: DicomwebTable | None = Field(
        None, description="Its DICOMweb service, asked instead of C-FIND what it holds."
    )
    orthanc: OrthancTable | None = Field(
        None, description='Its REST interface, for `withdrawal = "delete"`.'
    )
    oru: OruTable | None = Field(
        None, description="How it takes results by HL7 version 2, for the role `oru`."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Peer":
        if "ehr" in self.roles and self.fhir is None:
            raise ValueError("a peer with the role ehr needs fhir.url")
        if "source" in self.roles and self.ae_title is None:
            raise ValueError("a peer with the role source needs ae_title")
        if "archive" in self.roles and not (self.ae_title and self.host and self.port):
            raise ValueError("a peer with the role archive needs ae_title, host and port")
        if self.dicomweb is not None and "archive" not in self.roles:
            raise ValueError("dicomweb is asked of a peer with the role archive")
        if "archive" not in self.roles and (self.profile or self.withdrawal != "none"):
            raise ValueError("profile and withdrawal are for a peer with the role archive")
        if (self.withdrawal == "delete") != (self.orthanc is not None):
            raise ValueError('withdrawal = "delete" and orthanc.url go together')
        return self

    @model_validator(mode="after")
    def _takes_messages(self) -> "Peer":
        if ("oru" in self.roles) != (self.oru is not None):
            raise ValueError("the role oru and oru.host go together")
        if {"oru", "archive"} <= self.roles:
            raise ValueError("what takes messages and what takes objects are two peers")
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

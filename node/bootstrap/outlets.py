"""The destinations as a worker knows them: what takes results, in which forms, and what takes them back."""

from functools import partial
from typing import TYPE_CHECKING

from node.bootstrap.feed import merged_to
from node.bootstrap.forms import wish, workshop
from node.bootstrap.messages import mllp_peer
from node.bootstrap.models import cards
from node.bootstrap.reach import (
    archive_index,
    auth_of,
    dicom_peer,
    dicomweb,
    fhir_client,
    record,
)
from node.bootstrap.state import files
from node.core.withdrawal import IDENTITY_CORRECTED, RETRACTED, SUPERSEDED
from node.settings import EhrResultsTable, OruTable, Peer, Settings
from node.settings.kinds import TAKES_RESULTS

if TYPE_CHECKING:
    from integrations.fhir.destination import FhirDestination
    from integrations.hl7.destination import Manners
    from integrations.hl7.oru import Letterhead
    from integrations.pacs.delivery import ArchiveDestination, TakeBack
    from node.core.job import DeliveryClaim
    from node.pipeline.deliver import OtherForms, Outlet
    from node.pipeline.reform import Reformer
    from node.store.database import Database


def outlets(settings: Settings, opened: "Database") -> "dict[str, Outlet]":
    """Wire every destination, by its name.

    Raises
    ------
    SettingsInvalid
        A peer's token is not where the file says.
    """
    return {
        peer.name: _outlet(settings, peer, opened)
        for peer in settings.peer
        if peer.roles & TAKES_RESULTS
    }


def _outlet(settings: Settings, peer: Peer, opened: "Database") -> "Outlet":
    from node.pipeline.deliver import Outlet

    if peer.oru is not None:
        from integrations.hl7.destination import OruDestination

        # a peer that is a patient record besides has the patient verified before anything is told
        return Outlet(
            destination=OruDestination(mllp_peer(peer), _letterhead(peer.oru), _manners(peer.oru)),
            record=record(peer) if "ehr" in peer.roles else None,
            withdraws=frozenset({IDENTITY_CORRECTED, RETRACTED}),
            takes=peer.criteria,
            backoff=peer.lane.backoff,
            merged_to=merged_to(settings, opened),
        )
    if peer.fhir is not None and "ehr" in peer.roles:
        # an older report stands in the record beside the newer one
        return Outlet(
            destination=_record(peer, peer.fhir.results or EhrResultsTable()),
            record=record(peer),
            withdraws=frozenset({IDENTITY_CORRECTED, RETRACTED}),
            takes=peer.criteria,
            backoff=peer.lane.backoff,
            merged_to=merged_to(settings, opened),
        )
    # what is another patient's by now is the archive's to correct, and superseded where it is made anew
    withdraws = frozenset({SUPERSEDED, RETRACTED}) if peer.withdrawal != "none" else frozenset()
    return Outlet(
        destination=_archive(settings, peer),
        withdraws=withdraws,
        forms=_other_forms(settings, peer, opened),
        takes=peer.criteria,
        backoff=peer.lane.backoff,
    )


def _record(peer: Peer, table: EhrResultsTable) -> "FhirDestination":
    from integrations.fhir.composition import Kind, Notice, Wishes
    from integrations.fhir.destination import FhirDestination
    from integrations.fhir.strategies import Strategy

    wishes = Wishes(
        kind=Kind(table.kind),
        status=table.status,
        page=table.page,
        task=table.task,
        leave_out=frozenset(table.leave_out),
        critical=table.critical,
        notice=Notice(table.notice),
    )
    strategy = None if table.strategy is None else Strategy(table.strategy)
    return FhirDestination(fhir_client(peer), wishes, strategy)


def _letterhead(table: OruTable) -> "Letterhead":
    from integrations.hl7.oru import Letterhead

    return Letterhead(
        application=table.application,
        facility=table.facility,
        receiving_application=table.receiving_application,
        receiving_facility=table.receiving_facility,
        processing_id=table.processing_id,
        assigning_authorities=table.assigning_authorities,
        accession_number=table.accession_number,
        placer_order_number=table.placer_order_number,
        withdrawn=table.withdrawn,
    )


def _manners(table: OruTable) -> "Manners":
    from integrations.hl7.destination import Manners

    return Manners(on_error=table.on_error, on_reject=table.on_reject)


def _archive(settings: Settings, peer: Peer) -> "ArchiveDestination":
    from inference.uids import derived_uid
    from integrations.pacs.delivery import Ways

    notes = partial(derived_uid, root=settings.node.uid_root)
    index = archive_index(settings, peer)
    ways = Ways(
        take_back=_deletion(peer),
        notes=notes if peer.withdrawal == "iocm" else None,
        commits=peer.commits is not None,
    )
    if peer.dicomweb is not None and peer.dicomweb.store:
        from integrations.pacs.stow import StowDestination

        return StowDestination(dicomweb(peer, peer.dicomweb), index, **ways)
    from integrations.pacs.storage import StorageDestination

    return StorageDestination(dicom_peer(settings, peer), index, **ways)


def _deletion(peer: Peer) -> "TakeBack | None":
    if peer.withdrawal != "delete" or peer.orthanc is None:
        return None
    from integrations.pacs.orthanc import OrthancDeletion

    auth = auth_of(peer, peer.orthanc)
    return OrthancDeletion(peer.orthanc.url, auth=auth, read_timeout_s=peer.orthanc.timeout_s)


def _other_forms(settings: Settings, peer: Peer, opened: "Database") -> "OtherForms":
    from node.pipeline.deliver import OtherForms
    from node.store.forms import FormStore

    wanted, forms = wish(settings, peer), FormStore(opened)

    def owe(claim: "DeliveryClaim", profile: str) -> bool:
        return _reformer(settings, opened).owe(claim, profile)

    def learn(profile: str) -> None:
        forms.accept(peer.name, wanted.configured, profile)

    return OtherForms(names=wanted.names, owe=owe, learn=learn)


def _reformer(settings: Settings, opened: "Database") -> "Reformer":
    # wired when it is needed, which is once for an archive: highdicom takes a second to import
    from node.pipeline.reform import Reformer

    return Reformer(
        cards=cards(settings), workshop=workshop(settings, opened), files=files(settings)
    )

"""Which orders the keeper looks for, and whom it asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.bootstrap.feed import default_issuers
from node.bootstrap.reach import dicom_peer, fhir_client
from node.settings import Peer, Settings

if TYPE_CHECKING:
    from integrations.order import OrderSource, PatientKey
    from node.core.orders import Patient
    from node.store.database import Database


@dataclass(frozen=True, slots=True)
class Ordering:
    """What the keeper does about orders: each work in a thread of its own.

    Parameters
    ----------
    works
        Match new studies to known orders; ask for those that are not known. None where a site has no orders.
    """

    works: tuple[Callable[[], object], ...] = ()


def ordering(settings: Settings, opened: "Database") -> Ordering:
    """Wire what is done about orders.

    Raises
    ------
    SettingsInvalid
        The token of who is asked is not in the environment.
    """
    from node.store.order_questions import OrderStore

    if not settings.hl7.enabled and settings.orders.source == "none":
        return Ordering()
    store = OrderStore(opened, default_issuers(settings))
    if settings.orders.source in {"none", "hl7"}:
        return Ordering((store.match_new,))
    from node.pipeline.ordered import Asked, ask_for_orders

    peer = settings.peer_named(settings.orders.peer or "")
    asked = Asked(
        peer=peer.name,
        source=order_source(settings, peer),
        patient_of=_patient_of(peer),
        deadline_s=settings.orders.deadline_s,
    )
    return Ordering((store.match_new, lambda: ask_for_orders(store, asked)))


def order_source(settings: Settings, peer: Peer) -> "OrderSource":
    """Return who is asked for orders: a FHIR server or a worklist.

    Raises
    ------
    SettingsInvalid
        Its token is not in the environment.
    """
    if settings.orders.source == "fhir":
        from integrations.fhir.orders import FhirOrders

        return FhirOrders(fhir_client(peer), settings.orders.accession_system)
    from integrations.pacs.worklist import WorklistOrders

    return WorklistOrders(dicom_peer(settings, peer))


def _patient_of(peer: Peer) -> "Callable[[PatientKey], Patient]":
    from node.core.orders import Patient

    systems = peer.fhir.identifier_systems if peer.fhir else {}
    issuers = {system: issuer for issuer, system in systems.items()}

    def patient_of(key: "PatientKey") -> Patient:
        said = key.authority or ""
        issuer = issuers.get(said, said or peer.default_issuer or "")
        return Patient(patient_id=key.patient_id[:64], issuer=issuer[:64])

    return patient_of

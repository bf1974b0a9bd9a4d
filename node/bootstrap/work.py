"""The workers: one analyses, one delivers."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from node.bootstrap.models import cards, model_server
from node.bootstrap.reach import archive_index, dicom_peer, fhir_client, record, source_of
from node.bootstrap.state import database, files
from node.bootstrap.step import Step
from node.clock import SystemClock
from node.settings import Peer, Settings
from node.telemetry import log_failure

if TYPE_CHECKING:
    from inference.card import Card
    from inference.results.objects import Equipment
    from node.core.ports import Hold
    from node.pipeline.deliver import Outlet


def analyser(settings: Settings) -> Step:
    """Wire the step that does one job.

    Raises
    ------
    SettingsInvalid
        A card is wrong.
    """
    from inference.results.objects import Equipment
    from node.pipeline.analyse import Bench, analyse_next
    from node.store.jobs import JobStore

    store = files(settings)
    jobs = JobStore(database(settings), settings.queue.lease_s)
    equipment = Equipment(
        model_name="Overread",
        device_serial_number=settings.node.station_name,
        software_versions=(version("overread"),),
    )
    installed = cards(settings)
    _rehearse(installed, equipment)  # meanwhile the server loads its models
    bench = Bench(
        cards=installed,
        server=model_server(settings),
        equipment=equipment,
        uid_root=settings.node.uid_root,
        source_of=source_of(settings),
        lost_leases=settings.queue.attempts,
    )
    return lambda hold: analyse_next(jobs, store, bench, hold, SystemClock())


def _rehearse(installed: "Mapping[str, Card]", equipment: "Equipment") -> None:
    """Let the first bell be answered as fast as the others; that one card cannot is no reason to stop."""
    from inference.errors import InferenceError
    from inference.rehearsal import rehearse

    for card in list(installed.values())[:1]:
        try:
            rehearse(card, equipment)
        except (InferenceError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            log_failure("analysis not rehearsed", error, model=card.key)


def deliverer(settings: Settings) -> Step:
    """Wire the step that does one withdrawal, or else one delivery: what is wrong goes first.

    Raises
    ------
    SettingsInvalid
        A peer's token is not in the environment.
    """
    from node.pipeline.deliver import deliver_next
    from node.pipeline.withdraw import withdraw_next
    from node.store.deliveries import DeliveryStore
    from node.store.withdrawals import WithdrawalStore

    store, opened = files(settings), database(settings)
    deliveries = DeliveryStore(opened, settings.queue.lease_s)
    withdrawals = WithdrawalStore(opened, settings.queue.lease_s)
    outlets = {
        peer.name: _outlet(settings, peer)
        for peer in settings.peer
        if peer.roles & {"archive", "ehr"}
    }
    lost_leases = settings.queue.attempts

    def step(hold: "Hold") -> bool:
        withdrawn = withdraw_next(withdrawals, outlets, hold, lost_leases)
        return withdrawn or deliver_next(deliveries, store, outlets, hold, lost_leases)

    return step


def _outlet(settings: Settings, peer: Peer) -> "Outlet":
    from node.pipeline.deliver import Outlet

    if "ehr" in peer.roles:
        from integrations.fhir.destination import FhirDestination

        destination = FhirDestination(fhir_client(peer))
        return Outlet(destination=destination, record=record(peer), withdraws=True)
    from integrations.pacs.storage import StorageDestination

    pacs, index = dicom_peer(settings, peer), archive_index(settings, peer)
    return Outlet(destination=StorageDestination(pacs, index))

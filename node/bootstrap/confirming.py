"""The archives as what confirms: they are asked to commit what they took, or what they hold."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from node.bootstrap.reach import archive_index, dicom_peer
from node.bootstrap.step import Step
from node.settings import Peer, Settings

if TYPE_CHECKING:
    from integrations.pacs.peer import DicomPeer
    from node.core.confirmation import ConfirmationClaim
    from node.core.ports import Hold
    from node.dicom.commitments import Reports
    from node.pipeline.confirm import Confirmer
    from node.store.database import Database


def commitment_reports(settings: Settings, opened: "Database") -> "Reports | None":
    """Return what takes the reports of archives; None where none is asked to commit anything."""
    if not any(peer.commits for peer in settings.peer):
        return None
    return _reports(settings, opened)


def confirmers(settings: Settings, opened: "Database") -> list[Step]:
    """Wire one step for each archive: none waits for another.

    Raises
    ------
    SettingsInvalid
        A token is not in the environment, or TLS files cannot be used.
    """
    return [_step(settings, peer, opened) for peer in settings.peer if "archive" in peer.roles]


def _reports(settings: Settings, opened: "Database") -> "Reports":
    from node.dicom.commitments import Reports
    from node.pipeline.confirm import take_report
    from node.store.confirmations import ConfirmationStore

    confirmations = ConfirmationStore(opened, settings.queue.lease_s)
    return Reports(take=lambda report: take_report(report, confirmations))


def _step(settings: Settings, peer: Peer, opened: "Database") -> Step:
    from node.pipeline.confirm import confirm_next
    from node.store.confirmations import ConfirmationStore
    from node.store.safekeeping import Safekeeping

    confirmations = ConfirmationStore(opened, settings.queue.lease_s)
    archive = _confirmer(settings, peer, opened)
    safekeeping, commits = Safekeeping(opened), peer.commits
    sources = _sources_of(settings, peer)

    def step(hold: "Hold") -> bool:
        if commits is not None:
            safekeeping.ask(peer.name, sources, commits.release_again_s)
        return confirm_next(confirmations, archive, hold)

    return step


def _sources_of(settings: Settings, archive: Peer) -> frozenset[str]:
    """Return the peers whose studies an archive has: those that name it, and itself when it names no other."""
    own = {archive.name} if archive.archive is None else set()
    return frozenset(own | {one.name for one in settings.peer if one.archive == archive.name})


def _confirmer(settings: Settings, peer: Peer, opened: "Database") -> "Confirmer":
    from node.pipeline.confirm import Confirmer

    commits = peer.commits
    return Confirmer(
        peer=peer.name,
        request=_requester(settings, peer, opened) if commits is not None else None,
        within_s=commits.within_s if commits is not None else 0.0,
        index=archive_index(settings, peer),
        backoff=peer.lane.backoff,
    )


def _requester(settings: Settings, peer: Peer, opened: "Database") -> Any:
    reports, service = _reports(settings, opened), commitment_peer(settings, peer)
    linger_s = peer.commits.linger_s if peer.commits is not None else 0.0

    def request(claim: "ConfirmationClaim") -> None:
        from integrations.pacs.commitment_request import Asked, request_commitment

        asked = Asked(
            transaction_uid=claim.transaction_uid,
            references=[(one.sop_class_uid, one.sop_instance_uid) for one in claim.instances],
        )
        request_commitment(
            service, asked, lambda event: reports.answer(event, peer.name), linger_s=linger_s
        )

    return request


def commitment_peer(settings: Settings, peer: Peer) -> "DicomPeer":
    """Return where a peer takes requests for commitment: at its own address unless another is named.

    Raises
    ------
    SettingsInvalid
        The files of its TLS cannot be used.
    """
    reached, commits = dicom_peer(settings, peer), peer.commits
    if commits is None:
        return reached
    return replace(
        reached,
        ae_title=commits.ae_title or reached.ae_title,
        host=commits.host or reached.host,
        port=commits.port or reached.port,
    )

"""The worker that delivers: a lane for each destination."""

from collections.abc import Mapping
from dataclasses import dataclass

from node.bootstrap.outlets import outlets
from node.bootstrap.state import database, files
from node.bootstrap.step import LaneStep
from node.core.lane import Lane
from node.core.ports import Hold
from node.settings import Settings
from node.settings.kinds import TAKES_RESULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """What a worker that delivers works with.

    Parameters
    ----------
    threads
        How many each destination has; None stands for the destinations that are not configured any more.
    step
        Does one withdrawal, or else one delivery, of a destination.
    """

    threads: Mapping[str | None, int]
    step: LaneStep


def lanes_of(settings: Settings) -> dict[str, Lane]:
    """Return how each destination is served, by its name."""
    return {peer.name: peer.lane for peer in settings.peer if peer.roles & TAKES_RESULTS}


def deliverer(settings: Settings) -> Delivering:
    """Wire the steps that bring results to destinations, and take them back.

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
    lanes = lanes_of(settings)
    deliveries = DeliveryStore(opened, settings.queue.lease_s, lanes)
    withdrawals = WithdrawalStore(opened, settings.queue.lease_s, lanes)
    takers = outlets(settings, opened)
    lost_leases = settings.queue.attempts

    def step(destination: str | None, hold: Hold) -> bool:
        withdrawn = withdraw_next(withdrawals, store, takers, hold, lost_leases, destination)
        return withdrawn or deliver_next(deliveries, store, takers, hold, lost_leases, destination)

    threads: dict[str | None, int] = {name: lane.concurrency for name, lane in lanes.items()}
    return Delivering(threads={None: 1, **threads}, step=step)

"""Delete what may go: after its deliveries were confirmed, or because no rule wanted it, and a period."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from node.core.ports import Expirable
from node.core.retention import Holding, Policy, Verdict, decide
from node.telemetry import log


@dataclass(slots=True, kw_only=True)
class Expired:
    """What a run did, or would do.

    Parameters
    ----------
    series
        Those that went, with the verdict.
    kept
        How many series stay, by reason.
    """

    series: list[tuple[Holding, Verdict]] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)

    @property
    def instances(self) -> int:
        """How many instances went."""
        return sum(holding.instances for holding, _ in self.series)

    @property
    def size(self) -> int:
        """How many bytes of instances went."""
        return sum(holding.size for holding, _ in self.series)


def expire(
    store: Expirable, policy: Policy, *, dry: bool, ended: Callable[[], bool] = lambda: False
) -> Expired:
    """Go through every series on record and delete those whose period is over.

    Parameters
    ----------
    dry
        Only say what would go.
    ended
        True ends the run between two series.

    Raises
    ------
    OutOfResources
        Disk or database refused; what went before is done, the rest is as it was.
    """
    done = Expired()
    if not dry:
        _tidy(store)
    for holding, now in store.holdings():
        if ended():
            break
        verdict = decide(holding, policy, now)
        if not verdict.goes:
            done.kept[verdict.reason] += 1
        elif dry or store.expire(holding, verdict.reason):
            done.series.append((holding, verdict))
        else:  # something came in between, or a file is not there: the ledger tells
            done.kept["CHANGED-MEANWHILE"] += 1
    if not dry:
        store.remove_empty_folders()
    return done


def _tidy(store: Expirable) -> None:
    recovered = store.recover()
    if recovered:
        log("retention recovered", count=recovered)
    lost = store.remove_lost_claims()
    if lost:
        log("results of lost claims removed", count=lost)

"""The worker that analyses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from node.bootstrap.forms import equipment, workshop
from node.bootstrap.models import cards, model_server
from node.bootstrap.state import database, files
from node.bootstrap.step import Step
from node.clock import SystemClock
from node.settings import Settings
from node.telemetry import log_failure

if TYPE_CHECKING:
    from inference.card import Card
    from inference.results.objects import Equipment


def analyser(settings: Settings) -> Step:
    """Wire the step that does one job.

    Raises
    ------
    SettingsInvalid
        A card is wrong.
    """
    from node.pipeline.analyse import Bench, analyse_next
    from node.store.jobs import JobStore

    store, opened = files(settings), database(settings)
    jobs = JobStore(opened, settings.queue.lease_s, archived=settings.archived)
    installed = cards(settings)
    _rehearse(installed, equipment(settings))  # meanwhile the server loads its models
    bench = Bench(
        cards=installed,
        server=model_server(settings),
        workshop=workshop(settings, opened),
        lost_leases=settings.queue.attempts,
    )
    return lambda hold: analyse_next(jobs, store, bench, hold, SystemClock())


def _rehearse(installed: "Mapping[str, Card]", maker: "Equipment") -> None:
    """Let the first bell be answered as fast as the others; that one card cannot is no reason to stop."""
    from inference.errors import InferenceError
    from inference.rehearsal import rehearse

    for card in list(installed.values())[:1]:
        try:
            rehearse(card, maker)
        except (InferenceError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            log_failure("analysis not rehearsed", error, model=card.key)

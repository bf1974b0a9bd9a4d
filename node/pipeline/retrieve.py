"""Between steps 3 and 4: ask the archive what a series has, and fetch what is missing of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from integrations.archive import ArchiveIndex, PatientIndex
from integrations.errors import IntegrationError, Refused
from node.pipeline.apart import Apart
from node.telemetry import log

SETTLED_S = 1.0
"""An archive is not asked about a series of which something arrived within this time."""


class Evidences(Protocol):
    """What archives said, and what they were asked for."""

    def to_ask(self, peers: Collection[str], settled_s: float) -> list[tuple[str, str, str]]:
        """Return (study, series, peer) of open series to ask about now."""

    def answered(
        self, series_instance_uid: str, peer: str, listed: frozenset[str] | None, again_s: float
    ) -> None:
        """Keep what an archive said; None when it did not answer."""

    def announce_retrieval(
        self, study_instance_uid: str, series_instance_uid: str, peer: str
    ) -> tuple[str, ...]:
        """Announce what we lack; return what to ask for now."""

    def retrieval_failed(self, study_instance_uid: str, reason: str) -> None:
        """Tell that nothing, or not all, was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One archive that may be asked.

    Parameters
    ----------
    name
        The peer's.
    sources
        Names of the peers whose studies it holds.
    index
        Says what it holds.
    retrieve
        Has it send instances of a study and series to us.
    recover
        Accounts for what an earlier life of the keeper fetched and did not record.
    patients
        Says which studies it holds of a patient; None where nobody compares with any.
    """

    name: str
    sources: frozenset[str]
    index: ArchiveIndex
    retrieve: Callable[[str, str, Sequence[str]], None]
    recover: Callable[[], None] = lambda: None
    patients: PatientIndex | None = None


def complete_from(
    archive: Archive, evidences: Evidences, again_of: Callable[[str], float], apart: Apart
) -> None:
    """Ask one archive about every series that is due, and fetch what is missing of it.

    Parameters
    ----------
    again_of
        Seconds between two questions about a series, by the name of its source.
    apart
        Keeps a series that meets a bug from stopping the others.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    for study, series, source in evidences.to_ask(archive.sources, SETTLED_S):
        work = partial(_complete, archive, evidences, study, series, again_of(source))
        apart.run(f"ask {series}", work, series_instance_uid=series)


def _complete(
    archive: Archive, evidences: Evidences, study: str, series: str, again_s: float
) -> None:
    try:
        listed = archive.index.instances(study, series)
    except IntegrationError as error:
        evidences.answered(series, archive.name, None, again_s)
        log("archive not asked", peer=archive.name, series_instance_uid=series, reason=_code(error))
        return
    evidences.answered(series, archive.name, listed, again_s)
    lacking = evidences.announce_retrieval(study, series, archive.name)
    if not lacking:
        return
    log("retrieval", peer=archive.name, series_instance_uid=series, count=len(lacking))
    try:
        archive.retrieve(study, series, lacking)
    except IntegrationError as error:
        evidences.retrieval_failed(study, f"{archive.name}: {_code(error)}")


def _code(error: IntegrationError) -> str:
    return error.reason if isinstance(error, Refused) else "PEER-UNAVAILABLE"

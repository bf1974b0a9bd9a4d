"""Step 3: account for instances that arrived. Durable on return, whatever they are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO

from node.core.identifiers import data_set_digest
from node.core.ports import Intake, LeftOver
from node.core.reception import Version, classify
from node.core.study import Arrival, Header, Incoming, Outcome, Received
from node.errors import NotUnderstood, OutOfResources
from node.telemetry import log, log_failure

Compare = Callable[[str, BinaryIO], tuple[Header, bool | None] | None]
"""Reads the head of a kept file, by its path, and compares its encoded pixels with an arriving one's."""

Keep = Callable[[Sequence[tuple[Incoming, Header, str]]], list[str]]
"""Does what `Incoming.keep` does for several files, each with its header and its digest."""

TRIES = 3
"""How often an instance is compared with what is on record under its UID, which may change meanwhile."""


def receive(arrival: Arrival, intake: Intake, compare: Compare) -> Outcome:
    """Make an instance safe and account for it.

    Our own results that come back open nothing. The same object again changes nothing. The same image with
    another identity corrects the one that we hold. Other content under a known UID is kept aside and told.
    Each is answered Success, because nothing is lost.

    Raises
    ------
    OutOfResources
        It could not be made safe now; the sender is told to try again.
    """
    return receive_all([arrival], intake, compare, _keep_each)[0]


def receive_all(
    arrivals: Sequence[Arrival], intake: Intake, compare: Compare, keep: Keep
) -> list[Outcome]:
    """Do what `receive` does for several instances: they share a transaction, and the syncs of their folders.

    Raises
    ------
    OutOfResources
        It could not be done for one of them; for which of the others it is done, their files tell.
    """
    digests = [_digest(arrival) for arrival in arrivals]
    paths = keep([(a.file, a.header, d) for a, d in zip(arrivals, digests, strict=True)])
    received = [
        Received(
            header=arrival.header,
            path=path,
            size=arrival.file.size,
            digest=digest,
            association_id=arrival.association_id,
            peer=arrival.peer,
        )
        for arrival, path, digest in zip(arrivals, paths, digests, strict=True)
    ]
    outcomes = intake.record_all(received)
    return [
        _settle(arrival, one, outcome, intake, compare)
        for arrival, one, outcome in zip(arrivals, received, outcomes, strict=True)
    ]


def _keep_each(files: Sequence[tuple[Incoming, Header, str]]) -> list[str]:
    return [file.keep(header, digest) for file, header, digest in files]


def _digest(arrival: Arrival) -> str:
    with arrival.file.reading() as source:
        return data_set_digest(source)


def _settle(
    arrival: Arrival, received: Received, outcome: Outcome | None, intake: Intake, compare: Compare
) -> Outcome:
    """End what is to be done about an instance whose file has its name."""
    header, file = arrival.header, arrival.file
    compared = outcome is None
    if outcome is None:
        outcome = _compared(arrival, received, intake, compare)
    kept_elsewhere = compared and intake.kept(header.sop_instance_uid)[0] != received.path
    if outcome is Outcome.OWN or (outcome is Outcome.DUPLICATE and kept_elsewhere):
        file.withdraw()
    else:  # the same content has the same name: the file of a duplicate is that of the first
        file.settle()
    if outcome not in {Outcome.STORED, Outcome.FETCHED}:
        log("instance known", outcome=outcome, sop_instance_uid=header.sop_instance_uid)
    return outcome


def _compared(arrival: Arrival, received: Received, intake: Intake, compare: Compare) -> Outcome:
    """Record an instance beside another content that is on record under its UID.

    Raises
    ------
    OutOfResources
        What is on record changes faster than it can be compared.
    """
    for _ in range(TRIES):
        verdict = _verdict(arrival, received.digest, intake, compare)
        outcome = intake.record(replace(received, verdict=verdict))
        if outcome is not None:
            return outcome
    raise OutOfResources("what is on record under this UID changes all the time")


def _verdict(
    arrival: Arrival, digest: str, intake: Intake, compare: Compare
) -> tuple[str, Outcome]:
    path, known = intake.kept(arrival.header.sop_instance_uid)
    with arrival.file.reading() as arriving:
        found = compare(path, arriving)
    if found is None:
        return known, Outcome.CONFLICT
    header, same_pixels = found
    held, came = Version.of(header, known), Version.of(arrival.header, digest)
    return known, classify(held, came, same_pixels)


def recover(
    files: LeftOver, intake: Intake, read_header: Callable[[BinaryIO], Header], compare: Compare
) -> int:
    """Record what an earlier life of this listener made durable and did not record; return how many.

    Nobody was told that it is safe, so its sender may send it again: then it is known.

    Raises
    ------
    OutOfResources
        The records could not be written; the listener does not start.
    """
    count = 0
    for association_id, file in files.left_over():
        try:
            with file.reading() as source:
                header = read_header(source)
        except NotUnderstood as error:
            # it was read before it got its name; what became of it since is for the ledger to tell
            log_failure("instance not recovered", error, association_id=association_id)
            file.discard()
            continue
        peer = intake.peer_of(association_id)
        arrival = Arrival(header=header, file=file, association_id=association_id, peer=peer)
        receive(arrival, intake, compare)
        log("instance recovered", sop_instance_uid=header.sop_instance_uid)
        count += 1
    return count

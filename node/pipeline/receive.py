"""Step 3: take one instance. Durable on return, whatever it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from node.core.identifiers import data_set_digest
from node.core.ports import Intake, LeftOver
from node.core.reception import Version, classify
from node.core.study import Arrival, Header, Outcome, Received
from node.errors import NotUnderstood, OutOfResources
from node.telemetry import log, log_failure

Compare = Callable[[str, BinaryIO], tuple[Header, bool | None] | None]
"""Reads the head of a kept file, by its path, and compares its encoded pixels with an arriving one's."""

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
    header, file = arrival.header, arrival.file
    received = Received(
        header=header,
        path=file.keep(header, arrival.digest),
        size=file.size,
        digest=arrival.digest,
        association_id=arrival.association_id,
        peer=arrival.peer,
    )
    outcome, compared = _recorded(received, arrival, intake, compare)
    kept_elsewhere = compared and intake.kept(header.sop_instance_uid)[0] != received.path
    if outcome is Outcome.OWN or (outcome is Outcome.DUPLICATE and kept_elsewhere):
        file.withdraw()
    else:  # the same content has the same name: the file of a duplicate is that of the first
        file.settle()
    if outcome not in {Outcome.STORED, Outcome.FETCHED}:
        log("instance known", outcome=outcome, sop_instance_uid=header.sop_instance_uid)
    return outcome


def _recorded(
    received: Received, arrival: Arrival, intake: Intake, compare: Compare
) -> tuple[Outcome, bool]:
    """Return what an instance is, and whether it had to be compared with another content.

    Raises
    ------
    OutOfResources
        What is on record under its UID changes faster than it can be compared.
    """
    for _ in range(TRIES):
        outcome = intake.record(received)
        if outcome is not None:
            return outcome, received.verdict is not None
        received = replace(received, verdict=_verdict(arrival, intake, compare))
    raise OutOfResources("what is on record under this UID changes all the time")


def _verdict(arrival: Arrival, intake: Intake, compare: Compare) -> tuple[str, Outcome]:
    path, known = intake.kept(arrival.header.sop_instance_uid)
    with arrival.file.reading() as arriving:
        found = compare(path, arriving)
    if found is None:
        return known, Outcome.CONFLICT
    header, same_pixels = found
    held, came = Version.of(header, known), Version.of(arrival.header, arrival.digest)
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
                header, digest = read_header(source), data_set_digest(source)
        except NotUnderstood as error:
            # it was read before it got its name; what became of it since is for the ledger to tell
            log_failure("instance not recovered", error, association_id=association_id)
            file.discard()
            continue
        peer = intake.peer_of(association_id)
        arrival = Arrival(
            header=header, digest=digest, file=file, association_id=association_id, peer=peer
        )
        receive(arrival, intake, compare)
        log("instance recovered", sop_instance_uid=header.sop_instance_uid)
        count += 1
    return count

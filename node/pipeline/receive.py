"""Step 3: take one instance. Durable on return, whatever it is."""

from collections.abc import Callable
from typing import BinaryIO

from node.core.identifiers import data_set_digest
from node.core.ports import Intake, LeftOver
from node.core.study import Arrival, Header, Outcome, Received
from node.telemetry import log


def receive(arrival: Arrival, intake: Intake) -> Outcome:
    """Make an instance safe and account for it.

    Our own results that come back open nothing. The same object again changes nothing. The same UID with
    other content is kept aside and told. Each is answered Success, because nothing is lost.

    Raises
    ------
    OutOfResources
        It could not be made safe now; the sender is told to try again.
    """
    header, file = arrival.header, arrival.file
    path = file.keep(header, arrival.digest)
    outcome = intake.record(
        Received(
            header=header,
            path=path,
            size=file.size,
            digest=arrival.digest,
            association_id=arrival.association_id,
            peer=arrival.peer,
        )
    )
    if outcome is Outcome.OWN:
        file.withdraw()
    else:  # a duplicate has the name, and so the file, of the first
        file.settle()
    if outcome is not Outcome.STORED:
        log("instance known", outcome=outcome, sop_instance_uid=header.sop_instance_uid)
    return outcome


def recover(files: LeftOver, intake: Intake, read_header: Callable[[BinaryIO], Header]) -> int:
    """Record what an earlier life of this listener made durable and did not record; return how many.

    Nobody was told that it is safe, so its sender may send it again: then it is known.

    Raises
    ------
    OutOfResources
        The records could not be written; the listener does not start.
    """
    count = 0
    for association_id, file in files.left_over():
        with file.reading() as source:
            header, digest = read_header(source), data_set_digest(source)
        peer = intake.peer_of(association_id)
        arrival = Arrival(
            header=header, digest=digest, file=file, association_id=association_id, peer=peer
        )
        receive(arrival, intake)
        log("instance recovered", sop_instance_uid=header.sop_instance_uid)
        count += 1
    return count

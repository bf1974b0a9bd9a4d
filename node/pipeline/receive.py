"""Step 3: take one instance. Durable on return, whatever it is."""

from node.core.identifiers import data_set_digest
from node.core.ports import Files, Intake
from node.core.study import Arrival, Outcome, Received
from node.telemetry import log


def receive(arrival: Arrival, files: Files, intake: Intake) -> Outcome:
    """Make an instance safe and account for it.

    Our own results that come back open nothing. The same object again changes nothing. The same UID with
    other content is kept aside and told. Each is answered Success, because nothing is lost.

    Raises
    ------
    OutOfResources
        It could not be made safe now; the sender is told to try again.
    """
    header, digest = arrival.header, data_set_digest(arrival.data)
    known = intake.known(header.sop_instance_uid)
    path = ""
    if known is None:
        outcome = Outcome.STORED
    elif known[0] is Outcome.OWN:
        outcome = Outcome.OWN
    else:
        outcome = Outcome.DUPLICATE if known[1] == digest else Outcome.CONFLICT
    if outcome in {Outcome.STORED, Outcome.CONFLICT}:
        path = files.keep(header, arrival.data, digest)
    recorded = intake.record(
        Received(
            header=header,
            path=path,
            size=len(arrival.data),
            digest=digest,
            association_id=arrival.association_id,
            peer=arrival.peer,
        ),
        outcome,
    )
    if recorded not in {Outcome.STORED, Outcome.FETCHED}:
        log("instance known", outcome=recorded, sop_instance_uid=header.sop_instance_uid)
    return recorded

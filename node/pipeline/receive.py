"""Step 3: take one instance. Durable on return, whatever it is."""

from collections.abc import Callable
from pathlib import Path

from node.core.identifiers import data_set_digest
from node.core.ports import Files, Intake
from node.core.reception import Version, classify
from node.core.study import Arrival, Header, Outcome, Received
from node.telemetry import log

Compare = Callable[[Path, bytes], tuple[Header, bool | None] | None]
"""Reads the head of a kept file, and compares its encoded pixels with those of an arriving one."""


def receive(
    arrival: Arrival, files: Files, intake: Intake, compare: Compare = lambda *_: None
) -> Outcome:
    """Make an instance safe and account for it.

    Our own results that come back open nothing. The same object again changes nothing. The same image with
    another identity corrects the one that we hold. Other content under a known UID is kept aside and told.
    Each is answered Success, because nothing is lost.

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
    elif known[1] == digest:
        outcome = Outcome.DUPLICATE
    else:
        outcome = _again(arrival, digest, files, intake, compare)
    if outcome in {Outcome.STORED, Outcome.CONFLICT, Outcome.CORRECTION}:
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


def _again(
    arrival: Arrival, digest: str, files: Files, intake: Intake, compare: Compare
) -> Outcome:
    path, known = intake.kept(arrival.header.sop_instance_uid)
    found = compare(files.root / path, arrival.data)
    if found is None:
        return Outcome.CONFLICT
    header, same_pixels = found
    return classify(Version.of(header, known), Version.of(arrival.header, digest), same_pixels)

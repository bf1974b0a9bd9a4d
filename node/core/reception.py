"""What becomes of an instance that arrives under a UID that we may know already."""

from node.core.study import Outcome

Known = tuple[Outcome, str]
"""(OWN, "") for a result of ours; (STORED, SHA-256 of its data set) for what we received."""


def classify(known: Known | None, digest: str) -> Outcome:
    """Say what an instance is to us; each is answered Success, because nothing is lost.

    Parameters
    ----------
    known
        What we hold under its UID, None for nothing.
    digest
        SHA-256 of its data set.
    """
    if known is None:
        return Outcome.STORED
    if known[0] is Outcome.OWN:
        return Outcome.OWN
    return Outcome.DUPLICATE if known[1] == digest else Outcome.CONFLICT

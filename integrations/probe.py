"""What a peer was tried for, what it said, and what somebody must change: the lines of `overread check`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing that a peer was tried for.

    Parameters
    ----------
    name
        What was tried, in the standard's words: ``C-ECHO``, ``storage commitment``, ``certificate``.
    passed
        True when it works, False when somebody must change something, None when it was not tried or its
        absence only takes a convenience away.
    said
        What the peer said, or what was found: free of patient data.
    change
        Who must change what, in one sentence an administrator can act upon; empty when nothing.
    """

    name: str
    passed: bool | None
    said: str
    change: str = ""

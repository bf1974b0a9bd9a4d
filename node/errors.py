"""The node's own errors, by who acts on them.

NodeError
├── SettingsInvalid      the administrator mends the configuration; all errors are told at once
├── Rejected             the sender is told, by the DIMSE status that the error names
│   ├── OutOfResources       A700: it will try again
│   ├── ClassNotTaken        0122: storage of its SOP class is not offered
│   ├── DoesNotMatch         A900: the data set is not what its command announced
│   └── NotUnderstood        C000: the data set cannot be read, or lacks what identifies it
├── Declined             a normalised request (N-ACTION, N-CREATE, N-SET) is not taken; its status says why
├── MergeRefused         the sender is told: two numbers of patients cannot become one, as it says
├── ControlIdReused      the sender is told: it gave one Message Control ID to two messages
├── NothingToRerun       a person is told: what a job read is not here any more
├── IllegalTransition    a bug: a state was to change in a way that the tables of `core.job` forbid
└── LeaseLost            another worker owns the work now; what was made is discarded
"""


class NodeError(Exception):
    """Base of every error that the node raises on purpose."""


class SettingsInvalid(NodeError):
    """The configuration is rejected whole.

    Parameters
    ----------
    faults
        One sentence for each error: which key, what is wrong, what is allowed.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Rejected(NodeError):
    """An instance is not taken, and its sender is told why."""


class OutOfResources(Rejected):
    """The instance could not be made safe now (disk, journal, index); the sender tries again."""


class ClassNotTaken(Rejected):
    """The instance is of a SOP class whose storage is not offered (`listener.sop_classes` may name it)."""


class DoesNotMatch(Rejected):
    """The data set names another SOP class or instance than the command that brought it."""


class NotUnderstood(Rejected):
    """The data set cannot be read, or the UIDs that identify it are absent or malformed."""


class Declined(NodeError):
    """A normalised request is not taken, and the peer is told why.

    Parameters
    ----------
    status
        DIMSE status (PS3.7 Annex C).
    detail
        What is wrong, without the value.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status:04X}: {detail}")
        self.status = status
        self.detail = detail


class MergeRefused(NodeError):
    """A merge of two patients' numbers contradicts what was merged before.

    Parameters
    ----------
    reason
        Reason code.
    detail
        What is wrong, without the numbers.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ControlIdReused(NodeError):
    """A message carries the Message Control ID of another one that was taken."""


class NothingToRerun(NodeError):
    """A job cannot be ordered again: its instances expired, or were never here."""


class IllegalTransition(NodeError):
    """A state was to change in a way that its table does not allow."""


class LeaseLost(NodeError):
    """A write was conditional on a lease that somebody else holds by now."""

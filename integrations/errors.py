"""The errors of this library, by who acts on them.

IntegrationError
├── Unavailable      the peer cannot be reached or is busy: try again later
├── Refused          the peer said no, and will say it again: park, tell the reason code
│   └── SyntaxRefused    it takes no presentation context for an object: try another form of it
└── NotVerified      the patient could not be matched beyond doubt: nothing is read, nothing written
"""


class IntegrationError(Exception):
    """Base of every error that this library raises on purpose."""


class Unavailable(IntegrationError):
    """The peer did not answer, or answered that it cannot now; the same call may succeed later."""


class Refused(IntegrationError):
    """The peer understood and said no.

    Parameters
    ----------
    reason
        Machine-readable reason code, upper case with hyphens.
    detail
        What the peer said, free of patient data.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SyntaxRefused(Refused):
    """The peer accepts no presentation context for an object's SOP class and transfer syntax."""


class NotVerified(Refused):
    """No patient, several patients, or one whose birth date, name or sex contradicts the study."""

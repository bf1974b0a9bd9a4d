"""What a receiver said to a message: the codes of its acknowledgment (chapter 2.9.2), and never its texts.

Its texts may name the patient; who wants them asks the receiver's own log for the control id.
"""

from dataclasses import dataclass
from enum import StrEnum

import hl7

from integrations.errors import Refused

_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})


class Said(StrEnum):
    """What an acknowledgment code means (HL7 table 0008), in the original mode and in the enhanced one."""

    ACCEPTED = "A"
    ERROR = "E"
    REJECTED = "R"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An acknowledgment.

    Parameters
    ----------
    code
        MSA-1: ``AA``, ``AE``, ``AR``, or ``CA``, ``CE``, ``CR`` of a receiver in enhanced mode.
    control_id
        MSA-2: whose answer it is.
    condition
        Why not (HL7 table 0357): ``207`` is an error within the receiver; None when it does not say.
    """

    code: str
    control_id: str
    condition: int | None

    @property
    def said(self) -> Said:
        """Whether it is a yes, and if not which no."""
        return Said(self.code[1])


def read(raw: bytes) -> Answer:
    """Read an acknowledgment.

    Raises
    ------
    Refused
        It is none (``HL7-NO-ACK``).
    """
    try:
        # what is read of it is ASCII in every character set that it may be in
        message = hl7.parse(raw.decode("latin-1").replace("\r\n", "\r").replace("\n", "\r"))
        said = message.segment("MSA")
        code, control_id = _field(said, 1), _field(said, 2)
    except (hl7.HL7Exception, KeyError, ValueError, IndexError, AssertionError, TypeError):
        raise Refused("HL7-NO-ACK", "the answer is no acknowledgment") from None
    if code not in _CODES:
        raise Refused("HL7-NO-ACK", "the answer has no acknowledgment code")
    return Answer(code=code, control_id=control_id, condition=_condition(message))


def _field(segment: hl7.Segment, number: int) -> str:
    return str(segment[number]).strip() if len(segment) > number else ""


def _condition(message: hl7.Message) -> int | None:
    """Find the code of table 0357: in ERR-3, before version 2.5 in ERR-1.4, in version 2.4 in MSA-6."""
    for name, number in (("ERR", 3), ("ERR", 1), ("MSA", 6)):
        for segment in (one for one in message if str(one[0]) == name):
            code = _code(_field(segment, number), alone=number != 1)
            if code is not None:
                return code
    return None


def _code(written: str, *, alone: bool) -> int | None:
    """Read a code: the whole first component, or, at the end of an ERR-1, the fourth with its table."""
    components = written.split("~", maxsplit=1)[0].split("^")
    found = components[0] if alone else (components[3].split("&")[0] if len(components) > 3 else "")
    return int(found) if len(found) == 3 and found.isascii() and found.isdecimal() else None

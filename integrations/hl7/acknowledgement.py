"""The answer to a message (chapter 2.9.2, original mode): MSH, MSA, and ERR when it is a refusal."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from integrations.hl7.message import Message, MessageRefused


class Code(StrEnum):
    """Acknowledgment code (MSA-1, HL7 table 0008)."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """What stands in every answer.

    Parameters
    ----------
    application, facility
        Who we are (MSH-3, MSH-4).
    """

    application: str
    facility: str = ""

    def answer(
        self,
        message: Message | None,
        control_id: str,
        at: datetime,
        refused: MessageRefused | None = None,
    ) -> bytes:
        """Write an answer.

        Parameters
        ----------
        message
            What is answered; None when it could not be read.
        control_id
            MSH-10 of the answer.
        at
            When it is answered.
        refused
            Why it is not taken; None when it is.
        """
        said = _plain(message.header.text(12)) if message else ""
        version = said if said.startswith("2.") else ""
        event = _plain(message.header.text(9, 2)) if message else ""
        to = (
            [_plain(message.header.text(3)), _plain(message.header.text(4))]
            if message
            else ["", ""]
        )
        processing = (_plain(message.header.text(11)) if message else "") or "P"
        kind = f"ACK^{event}^ACK" if event else "ACK"
        moment = at.strftime("%Y%m%d%H%M%S%z")
        head = ["MSH", "^~\\&", _plain(self.application), _plain(self.facility), *to, moment, ""]
        lines = ["|".join([*head, kind, control_id, processing, version or "2.5.1"])]
        asked = message.control_id if message else ""
        lines.append("|".join(["MSA", code_of(refused), _escaped(asked)]))
        if refused is not None:
            lines.append(_error(refused, old=bool(version) and version < "2.5"))
        return ("\r".join(lines) + "\r").encode("ascii", "replace")


def code_of(refused: MessageRefused | None) -> Code:
    """Return the code of an answer: content that is wrong is an error, all else a rejection."""
    if refused is None:
        return Code.ACCEPT
    # 204 and 205 speak of keys within the content, the others from 200 of what is not taken at all
    content = refused.condition < 200 or refused.condition in {204, 205}
    return Code.ERROR if content else Code.REJECT


def _error(refused: MessageRefused, *, old: bool) -> str:
    condition = f"{refused.condition}^^HL70357"
    if old:  # before version 2.5, ERR-1 is place and code together, and there is no more
        return f"ERR|{refused.place}^{refused.condition}&{_escaped(refused.text)}&HL70357"
    text = _escaped(refused.text)
    return f"ERR||{refused.place}|{condition}|E|{refused.reason}^^L|||{text}"


def _plain(text: str) -> str:
    """Return a name as it may stand in a header: what could be a delimiter, or more than a line, goes."""
    return "".join(one for one in text if one.isprintable() and one not in "|^~\\&")[:180]


def _escaped(text: str) -> str:
    r"""Write text with its delimiters escaped (chapter 2.7.1); other characters than printable ones go."""
    marks = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}
    return "".join(marks.get(one, one) for one in text if one.isprintable())

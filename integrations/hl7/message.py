"""A message of HL7 version 2 (chapter 2): its segments, and the values in their fields.

`hl7` finds segments and fields, in a third of a millisecond. It judges nothing, and that is meant: a message
is as good as the fields that we use of it, and these are judged one by one where they are read. (`hl7apy`
takes 7 ms, and its strict validation refuses an ordinary ORM^O01 whose order detail is an OBR.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import hl7

from integrations.hl7.charsets import ENCODINGS, CharacterSetUnknown, character_set_of

MOST_SEGMENTS = 1000


class MessageRefused(Exception):
    """A message cannot be used, and its sender is told why.

    Parameters
    ----------
    condition
        HL7 table 0357: 101 and so on say that its content is wrong, 200 and so on that its kind is.
    place
        Where: ``PID^1^3`` is segment, its number among those of the name, and field (ERR-2).
    reason
        Our reason code (ERR-5).
    text
        What is wrong, without the value (ERR-8).
    """

    def __init__(self, condition: int, place: str, reason: str, text: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.condition = condition
        self.place = place
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class Encoding:
    """The delimiters of a message (MSH-1, MSH-2) and the codec of its bytes."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    codec: str

    def plain(self, text: str) -> str:
        r"""Resolve escape sequences (chapter 2.7): ``\T\`` is a subcomponent's separator, ``\XE9\`` bytes."""
        if not self.escape or self.escape not in text:
            return text
        parts = text.split(self.escape)
        if len(parts) % 2 == 0:  # one that is not closed is meant literally
            return text
        return "".join(part if i % 2 == 0 else self._meaning(part) for i, part in enumerate(parts))

    def _meaning(self, sequence: str) -> str:
        delimiters: Mapping[str, str] = {
            "F": self.field,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
            ".br": "\n",
        }
        if sequence.startswith("X"):
            try:
                return bytes.fromhex(sequence[1:]).decode(self.codec)
            except ValueError:
                return ""
        return delimiters.get(sequence, "")  # others are for a printer: highlighting, indentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment.

    Parameters
    ----------
    name
        ``PID``.
    number
        Its place among the segments of its name, from 1.
    """

    name: str
    number: int
    fields: tuple[str, ...]
    encoding: Encoding

    def raw(self, field: int) -> str:
        """Return a field as it was written; empty when the segment ends before it."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> list[list[str]]:
        """Components of each repetition of a field that has one; a null (``""``) is empty."""
        written = self.raw(field)
        if written in {"", '""'}:
            return []
        repeated = written.split(self.encoding.repetition)
        return [self._components(one) for one in repeated if one.strip()]

    def text(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """Return a component of a field's first repetition, without spaces around it; empty when absent."""
        first = next(iter(self.repetitions(field)), [])
        return part(first, component, subcomponent, self.encoding)

    def place(self, field: int) -> str:
        """Return where a field is, as ERR-2 says it."""
        return f"{self.name}^{self.number}^{field}"

    def _components(self, text: str) -> list[str]:
        return text.split(self.encoding.component)


def part(components: list[str], number: int, subcomponent: int, encoding: Encoding) -> str:
    """Return a component's subcomponent in plain text; empty when it is not there, or null."""
    if number > len(components):
        return ""
    parts = components[number - 1].split(encoding.subcomponent)
    text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
    return "" if text == '""' else encoding.plain(text).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, decoded."""

    segments: tuple[Segment, ...]
    character_set: str

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @property
    def kind(self) -> str:
        """Message code and trigger event: ``ADT^A40`` (MSH-9)."""
        return f"{self.header.text(9, 1)}^{self.header.text(9, 2)}"

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    def first(self, name: str) -> Segment | None:
        """Return the first segment of a name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Give every segment of a name."""
        return (one for one in self.segments if one.name == name)


def parse(raw: bytes, default_character_set: str = "") -> Message:
    """Read a message.

    Parameters
    ----------
    raw
        Its bytes, as they came out of a block.
    default_character_set
        What is meant when MSH-18 is empty (`charsets.ENCODINGS`).

    Raises
    ------
    MessageRefused
        It is no message (``NOT-HL7``), or its characters cannot be read (``CHARACTER-SET``).
    """
    try:
        name = character_set_of(raw, default_character_set)
    except CharacterSetUnknown:
        text = "the character set is not one that is read here"
        raise MessageRefused(103, "MSH^1^18", "CHARACTER-SET", text) from None
    codec = ENCODINGS[name]
    try:
        decoded = raw.decode(codec)
    except UnicodeError:
        text = f"the message is not in the character set that MSH-18 says ({name or 'ASCII'})"
        raise MessageRefused(102, "MSH^1^18", "CHARACTER-SET", text) from None
    return Message(segments=_segments(decoded, codec), character_set=name)


def _segments(text: str, codec: str) -> tuple[Segment, ...]:
    lines = text.replace("\r\n", "\r").replace("\n", "\r").strip("\r ")
    head = lines.partition("\r")[0]
    # MSH-1 and MSH-2: five different characters, none of them one that names are made of
    marks = list(head[3:8])
    if not head.startswith("MSH") or len(set(marks)) < 5 or any(c.isalnum() for c in marks):
        raise MessageRefused(100, "MSH^1^1", "NOT-HL7", "it does not begin with MSH|^~\\&")
    if lines.count("\r") >= MOST_SEGMENTS:
        raise MessageRefused(207, "MSH^1^1", "NOT-HL7", f"more than {MOST_SEGMENTS} segments")
    encoding = Encoding(marks[0], marks[1], marks[2], marks[3], marks[4], codec)
    try:
        read = hl7.parse(lines)
    except (hl7.HL7Exception, ValueError, IndexError, AssertionError):
        raise MessageRefused(100, "MSH^1^1", "NOT-HL7", "it cannot be parsed") from None
    seen: dict[str, int] = {}
    found = []
    for one in read:
        fields = tuple(str(value) for value in one)
        if not fields[0]:
            continue  # an empty line
        seen[fields[0]] = number = seen.get(fields[0], 0) + 1
        found.append(Segment(name=fields[0], number=number, fields=fields, encoding=encoding))
    return tuple(found)


def day(text: str) -> date | None:
    """Return the date of a DT, DTM or TS value; None when it is absent, shorter than a day, or none."""
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date() if len(text) >= 8 else None  # noqa: DTZ007
    except ValueError:
        return None

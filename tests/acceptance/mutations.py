"""Valid associations, and what a broken peer makes of them; every case is repeated by its number."""

import random
import struct
from collections.abc import Callable

from tests.acceptance.wire import (
    MR_IMAGE,
    association_request,
    data_pdu,
    echo_command,
    minimal,
    pdu,
    release_request,
    store_command,
)

NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (b"../../../../evil", b"/etc/evil", b"2.25.1/../evil", b"\0" * 16, b"\xff\xfe\xe0\x00" * 4)

Pdus = list[bytes]


def case(seed: int) -> bytes:
    """Return everything that one broken peer sends over one connection."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    pdus = _valid(chance, seed)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(MUTATIONS)(pdus, chance)
    return b"".join(pdus)


def _valid(chance: random.Random, seed: int) -> Pdus:
    image = minimal(MR_IMAGE, 10**8 + seed, bytes(chance.choice((0, 16, 5000))), series=9)
    data = image.data_set
    cut = chance.randrange(len(data) + 1)
    message_id = chance.randrange(1, 1000)
    return [
        association_request(),
        *([data_pdu(1, echo_command(message_id), command=True, last=True)] * chance.randrange(2)),
        data_pdu(3, store_command(image, message_id), command=True, last=True),
        data_pdu(3, data[:cut], command=False, last=False),
        data_pdu(3, data[cut:], command=False, last=True),
        release_request(),
    ]


def _any(pdus: Pdus, chance: random.Random) -> int:
    # the request is left alone more often: behind a broken one nothing else is read
    first = 0 if len(pdus) == 1 or chance.random() < 0.15 else 1
    return chance.randrange(first, len(pdus))


def _flip(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    changed = bytearray(pdus[number])
    for _ in range(chance.choice((1, 2, 8))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    pdus[number] = bytes(changed)


def _flip_inside(pdus: Pdus, chance: random.Random) -> None:
    """Change the content of a PDU and leave its lengths true."""
    number = _any(pdus, chance)
    changed = bytearray(pdus[number])
    if len(changed) > 13:
        changed[chance.randrange(12, len(changed))] = chance.randrange(256)
    pdus[number] = bytes(changed)


def _truncate(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    pdus[number] = pdus[number][: chance.randrange(len(pdus[number]) + 1)]
    del pdus[number + 1 :]


def _shorten(pdus: Pdus, chance: random.Random) -> None:
    """Cut a PDU's body and tell its true length."""
    number = _any(pdus, chance)
    kind, body = pdus[number][:1], pdus[number][6:]
    pdus[number] = pdu(kind[0] if kind else 4, body[: chance.randrange(len(body) + 1)])


def _length(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    declared = struct.pack(">L", chance.choice(NUMBERS))
    pdus[number] = pdus[number][:2] + declared + pdus[number][6:]


def _length_inside(pdus: Pdus, chance: random.Random) -> None:
    """Write a number where a length may stand, of an item, a value or an element."""
    number = _any(pdus, chance)
    body = bytearray(pdus[number])
    if len(body) > 20:
        start = chance.randrange(6, len(body) - 4)
        size = chance.choice((2, 4))
        value = chance.choice(NUMBERS) % (1 << 8 * size)
        body[start : start + size] = value.to_bytes(size, chance.choice(("big", "little")))
    pdus[number] = bytes(body)


def _insert(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    start = chance.randrange(len(pdus[number]) + 1)
    more = chance.choice((*WORDS, chance.randbytes(chance.choice((1, 7, 300)))))
    pdus[number] = pdus[number][:start] + more + pdus[number][start:]


def _word(pdus: Pdus, chance: random.Random) -> None:
    """Put a text in place of another one of the same length, such as a UID."""
    number = _any(pdus, chance)
    start = pdus[number].find(b"2.25.")
    if start >= 0:
        word = chance.choice(WORDS)
        pdus[number] = pdus[number][:start] + word + pdus[number][start + len(word) :]


def _sequence(pdus: Pdus, chance: random.Random) -> None:
    """Put a deep or an endless sequence in front of the data set's rest."""
    deep = struct.pack("<HH2sHLHHL", 8, 0x1115, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    many = deep[:12] + struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 5000
    pdus.insert(-2, data_pdu(3, chance.choice((deep * 1500, many)), command=False, last=False))


def _repeat(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    pdus[number:number] = [pdus[number]] * chance.choice((1, 2, 30))


def _drop(pdus: Pdus, chance: random.Random) -> None:
    if len(pdus) > 2:
        del pdus[_any(pdus, chance)]


def _swap(pdus: Pdus, chance: random.Random) -> None:
    one, other = _any(pdus, chance), _any(pdus, chance)
    pdus[one], pdus[other] = pdus[other], pdus[one]


def _kind(pdus: Pdus, chance: random.Random) -> None:
    number = _any(pdus, chance)
    pdus[number] = bytes((chance.randrange(256),)) + pdus[number][1:]


MUTATIONS: tuple[Callable[[Pdus, random.Random], None], ...] = (
    _flip, _flip_inside, _flip_inside, _truncate, _shorten, _length, _length_inside, _length_inside,
    _insert, _word, _sequence, _repeat, _drop, _swap, _kind,
)  # fmt: skip

"""Unique identifiers that are derived, not drawn: the same thing gets the same UID every time."""

import hashlib
import uuid

LONGEST = 64
"""Most characters of a UID (PS3.5 9.1)."""

FEWEST_DIGITS = 20
"""Least room that a root must leave: 10²⁰ values keep chance collisions out of a site's lifetime."""

UUID_ROOT = "2.25"
"""Root of UIDs that are a UUID written in decimal (PS3.5 B.2)."""


def derived_uid(*parts: str, root: str = UUID_ROOT) -> str:
    """Return the UID that belongs to `parts`, always the same one.

    Under ``2.25`` it is the decimal of a UUID of version 8 (RFC 9562 5.8), made of the SHA-256 of the
    parts. Under another root the same number follows the root, cut to the digits that fit.

    Parameters
    ----------
    parts
        What the UID stands for. Their borders count: ``("ab", "c")`` and ``("a", "bc")`` differ.
    root
        UID root of the site, without a final dot; at most 43 characters.

    Raises
    ------
    ValueError
        There is nothing to derive from, or the root leaves too little room; whoever configures the
        root mends it.
    """
    if not parts:
        raise ValueError("a UID is derived from at least one part")
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    number = _as_uuid(digest.digest()[:16]).int
    if root == UUID_ROOT:
        return f"{root}.{number}"
    room = LONGEST - len(root) - 1
    if room < FEWEST_DIGITS:
        raise ValueError(f"a UID root has at most {LONGEST - FEWEST_DIGITS - 1} characters")
    return f"{root}.{number % 10**room}"


def _as_uuid(octets: bytes) -> uuid.UUID:
    version_set = octets[6] & 0x0F | 0x80
    variant_set = octets[8] & 0x3F | 0x80
    return uuid.UUID(bytes=octets[:6] + bytes([version_set, octets[7], variant_set]) + octets[9:])

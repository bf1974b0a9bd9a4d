"""The names, numbers and dates of the fictional patients: none of them may stand in a log.

UIDs may (`node.telemetry`): they are what an administrator searches for, and they name no person.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

NAMES = ("Muster", "Mustermann", "Erika", "Colin", "Twentyseven", "Yamada", "Müller", "Jürgen", "Änne",
    "山田", "太郎", "王小东", "Shortness of breath")  # fmt: skip
NUMBERS = (r"OVR-\d+", r"MRN-\d+", r"BALL\d+", r"ACC-?\d+", "Ball.Number.*")
BORN = ("1964-?08-?12", "1963-?07-?04", "1970-?01-?01", "1969-?05-?17")
SHORTEST = 4
"""A value that is shorter, as a sex, says nobody who it is, and stands in logs by chance."""

_IDENTITIES = (
    "select identity from study",
    "select identity from series",
    "select patient from imaging_order",
    "select json_array(accession_number, placer_order_number, reason) from imaging_order",
    "select json_array(prior_id, surviving_id, birth_date) from patient_merge",
)
_OF_NOBODY = frozenset({"IssuerOfPatientID", "PatientSex"})


def of_database(path: Path) -> set[str]:
    """Everything that a node knows of its patients, as it stands in its database."""
    if not path.exists():
        return set()
    found: set[str] = set()
    with closing(sqlite3.connect(path, timeout=30)) as database:
        for question in _IDENTITIES:
            try:
                rows = database.execute(question).fetchall()
            except sqlite3.OperationalError:  # not migrated, or not that far
                continue
            found |= {one for (text,) in rows for one in _values(json.loads(text))}
    return found


def _values(told: Any) -> Iterator[str]:
    match told:
        case Mapping():
            for key, value in told.items():
                if key not in _OF_NOBODY:
                    yield from _values(value)
        case list():
            for one in told[:1] if len(told) == 2 else told:  # a pair is a number with its issuer
                yield from _values(one)
        case str():
            yield from (part for part in re.split(r"[\^=]", told) if len(part) >= SHORTEST)
            yield told


def named(text: str, more: Iterable[str] = ()) -> list[str]:
    """Return what of the patients stands in a text; `more` is searched for besides."""
    literal = [re.escape(one) for one in (*NAMES, *more) if len(one) >= SHORTEST]
    patterns = "|".join((*literal, *NUMBERS, *BORN))
    # a date that is part of a UID or a longer number is none
    return sorted({
        found.group(0) for found in re.finditer(rf"(?<![\w.])(?:{patterns})(?![\w.]|-\d)", text)
    })

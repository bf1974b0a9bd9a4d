"""Regular expressions that cannot run away.

Python's engine backtracks, and offers no time limit; the text comes from other people's scanners. So the
work is bounded before a pattern is accepted: `bounded` counts, in the parsed pattern, in how many ways a
text could be tried, and refuses what exceeds `MOST_WAYS`. The text that is searched is cut at
`LONGEST_TEXT` characters, twice of what an LO may hold (PS3.5 6.2). A nested repeat such as ``(a+)+`` is
refused, ``t1.*mprage|bravo`` is far below the bound. Pure: the standard library only.
"""

import re
from importlib import import_module
from typing import Any

LONGEST_TEXT = 128
"""Characters of a value that are searched."""

MOST_WAYS = LONGEST_TEXT**3 * 8
"""Two open repeats and some options, at every place where a match may begin: two seconds at the worst."""

_parser: Any = import_module("re._parser")  # the engine's own reading, rather than a second one


class PatternRefused(ValueError):
    """The pattern is no regular expression, or could take too long; the message says which."""


def bounded(pattern: str) -> str:
    """Return `pattern` when its work is bounded.

    Raises
    ------
    PatternRefused
        It is not; whoever wrote it mends it.
    """
    try:
        re.compile(pattern)
        ways = LONGEST_TEXT * _ways(_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternRefused(f"no regular expression: {error}") from error
    if ways > MOST_WAYS:
        raise PatternRefused(
            "could take too long: at most two open repeats (such as .*), "
            "no repeat inside a repeated group, no back reference"
        )
    return pattern


def _ways(parsed: Any) -> int:
    """Count the ways to try a sequence: its items' multiply, until the bound is passed."""
    ways = 1
    for operation, argument in parsed:
        ways = min(ways * _ways_of(str(operation), argument), MOST_WAYS + 1)
    return ways


def _ways_of(operation: str, argument: Any) -> int:
    match operation:
        case "BRANCH":
            return sum(_ways(branch) for branch in argument[1])
        case "SUBPATTERN" | "ASSERT" | "ASSERT_NOT":
            return _ways(argument[-1])
        case "ATOMIC_GROUP":
            return _ways(argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, repeated = argument
            least, most = min(int(least), LONGEST_TEXT), min(int(most), LONGEST_TEXT)
            lengths = min(most - least + 1, LONGEST_TEXT)
            return int(lengths * _ways(repeated) ** most)
        case "GROUPREF" | "GROUPREF_EXISTS":
            return MOST_WAYS + 1
        case _:
            return 1

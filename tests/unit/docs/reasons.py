"""Every reason code that the code base can tell, found in its syntax trees."""

import ast
from collections.abc import Iterator

from tests.unit.docs.pages import ROOT

ROOMS = ("node", "inference", "integrations")
NOT_OF_THE_NODE = (
    "node/demo/",
    "inference/phantoms.py",
    "integrations/hl7/charsets.py",
    "inference/results/profile.py",
    "testing.py",
    "probe.py",
    "node/bootstrap/trying.py",
    "integrations/pacs/trial_object.py",
)
"""Fictional hospitals and patients, words of the configuration, character sets, the tests' doubles, and what
`overread check` tries, which is named by services.
"""

PREFIXES = ("COMMITMENT-", "DICOMWEB-", "EHR-", "HL7-", "ORTHANC-", "PACS-", "TOKEN-")
"""Codes that end in what the peer answered."""

TAKES_A_REASON = {
    "Refused",
    "SyntaxRefused",
    "NotVerified",
    "SeriesUnusable",
    "Park",
    "cancel",
    "park",
}
"""Whoever is called so takes a reason code among its arguments."""


def reason_codes() -> set[str]:
    """Codes with a hyphen anywhere; codes of one word where a reason is expected."""
    found: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if not any(part in path.as_posix() for part in NOT_OF_THE_NODE):
                found |= set(_codes(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            code = node.value.partition(":")[0]  # a note begins with its code
            if "-" in code and _is_code(code):
                yield code
        for expected in _reasons_expected(node):
            if isinstance(expected, ast.Constant) and _is_code(str(expected.value)):
                yield str(expected.value)


def _reasons_expected(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.keyword(arg="reason", value=value):
            return [value]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "reason"]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
            return arguments if name in TAKES_A_REASON else []
        case _:
            return []


def _is_code(text: str) -> bool:
    if text.endswith("-"):
        return text in PREFIXES
    words = text.split("-")
    return (
        len(text) > 2 and text[0].isalpha() and all(w.isalnum() and w == w.upper() for w in words)
    )

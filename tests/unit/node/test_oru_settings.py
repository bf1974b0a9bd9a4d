"""A peer that takes results by HL7 version 2, as a site sets it up."""

from pathlib import Path

import pytest

from node.bootstrap.keeping import _reissued
from tests.unit.node.test_settings import WHOLE, faults, load

ENGINE = """
[[peer]]
name = "engine"
roles = ["oru"]
oru = { host = "engine.example", port = 2575 }
"""


def test_a_receiver_is_a_destination_and_gets_corrected_results_anew(tmp_path: Path) -> None:
    text = WHOLE.replace('["pacs", "ehr"]', '["pacs", "engine"]') + ENGINE
    read = load(tmp_path, text)
    assert read.peer_named("modality").results_to == ("pacs", "engine")
    assert _reissued(read) == {"ehr", "engine"}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            ENGINE.replace('["oru"]', '["source"]') + 'ae_title = "ENGINE"\n',
            "the role oru and oru.host go together",
        ),
        (ENGINE.replace("oru = {", "# {"), "the role oru and oru.host go together"),
        (
            ENGINE.replace('["oru"]', '["oru", "archive"]')
            + 'ae_title = "ENGINE"\nhost = "engine.example"\nport = 104\n',
            "are two peers",
        ),
        (ENGINE.replace(" }", ', application = "A|B" }'), "application"),
        (ENGINE.replace(" }", ', application = "" }'), "application"),
        (
            ENGINE.replace(" }", ', assigning_authorities = { A = "B^C" } }'),
            "assigning_authorities",
        ),
        (
            ENGINE.replace(" }", ', assigning_authorities = { A = "B&C" } }'),
            "assigning_authorities",
        ),
        (ENGINE.replace(" }", ', withdrawn = "X" }'), "withdrawn"),
        (
            ENGINE.replace(" }", ', tls = { authorities = "/ca.pem", key = "/k.pem" } }'),
            "oru.tls: Value error, certificate and key go together",
        ),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, engine: str, words: str) -> None:
    assert words in "\n".join(faults(tmp_path, WHOLE + engine))


@pytest.mark.parametrize("authority", ["GH", "GH&2.16.840.1&ISO", "&2.16.840.1&ISO"])
def test_an_authority_is_a_name_an_oid_or_both(tmp_path: Path, authority: str) -> None:
    more = f', assigning_authorities = {{ GENERAL = "{authority}" }} }}'
    oru = load(tmp_path, WHOLE + ENGINE.replace(" }", more)).peer_named("engine").oru
    assert oru is not None
    assert oru.assigning_authorities == {"GENERAL": authority}

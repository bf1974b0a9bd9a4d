"""Who tells of orders, and every way in which that can be said wrongly."""

from pathlib import Path

import pytest

from tests.unit.node.test_settings import faults, load

NODE = '[node]\ndata = "/srv/overread"\n'
RIS = """[[peer]]
name = "ris"
roles = ["orders"]
feed = { application = "RIS", issuers = { "GH" = "GENERAL" } }
"""
EHR = """[[peer]]
name = "ehr"
roles = ["ehr"]
fhir = { url = "https://ehr.example/fhir" }
"""
WORKLIST = """[[peer]]
name = "mwl"
roles = ["orders"]
ae_title = "MWL"
host = "ris.example"
port = 104
"""


@pytest.mark.parametrize(
    "text",
    [
        NODE,
        NODE + "[hl7]\nenabled = true\n[orders]\nsource = 'hl7'\n" + RIS,
        NODE + "[hl7]\ncharacter_set = '8859/1'\nignored = ['ADT^A01', 'ADT^A03']\n",
        NODE + "[orders]\nsource = 'fhir'\npeer = 'ehr'\n" + EHR,
        NODE + "[orders]\nsource = 'worklist'\npeer = 'mwl'\n" + WORKLIST,
    ],
)
def test_a_site_with_or_without_orders(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hl7]\nenabled = true\n", "nobody may send"),
        ("[hl7]\ncharacter_set = 'UTF-16'\n", "no character set of HL7 table 0211"),
        ("[hl7]\nignored = ['A01']\n", "hl7.ignored"),
        ("[hl7]\nprocessing_ids = ['X']\n", "hl7.processing_ids"),
        ("[hl7]\nprocessing_ids = []\n", "hl7.processing_ids"),
        ("[orders]\nsource = 'hl7'\n" + RIS, "needs hl7.enabled"),
        ("[orders]\nsource = 'fhir'\n" + EHR, "one with fhir.url"),
        ("[orders]\nsource = 'fhir'\npeer = 'mwl'\n" + WORKLIST, "one with fhir.url"),
        ("[orders]\nsource = 'worklist'\npeer = 'ehr'\n" + EHR, "one with ae_title, host and port"),
        ("[orders]\nsource = 'fax'\n", "orders.source"),
        (RIS + RIS.replace('"ris"', '"other"'), "two peers have one application and facility"),
        (WORKLIST.replace("port = 104\n", ""), "a peer with the role orders needs feed"),
    ],
)
def test_what_does_not_agree_is_told(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in fault for fault in faults(tmp_path, NODE + text))

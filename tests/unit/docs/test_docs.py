"""The reference against the code: whatever can be set, called, counted, logged or refused has its entry."""

import tomllib
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inference.geometry import Fault
from inference.instance import Unusable
from inference.selection import OWN_FACTS
from node import settings
from node.cli.app import app
from node.core.expectation import Missed
from node.core.study import Outcome
from node.dicom.contexts import TRANSFER_SYNTAXES
from node.dicom.status import STATUS_OF
from node.telemetry import ALLOWED_FIELDS, MetricName
from tests.unit.docs.pages import ROOT, page, rows, section
from tests.unit.docs.reasons import reason_codes

TABLES: dict[str, type[BaseModel]] = {
    "[node]": settings.NodeTable,
    "[listener]": settings.ListenerTable,
    "[listener.tls]": settings.TlsTable,
    "[queue]": settings.QueueTable,
    "[inference]": settings.InferenceTable,
    "[web]": settings.WebTable,
    "[commitment]": settings.CommitmentTable,
    "[ledger]": settings.LedgerTable,
    "[retention]": settings.RetentionTable,
    "[hl7]": settings.Hl7Table,
    "[orders]": settings.OrdersTable,
    "[identity]": settings.IdentityTable,
    "[[peer]]": settings.Peer,
    "[peer.delivery]": settings.DeliveryTable,
    "[peer.fhir]": settings.FhirTable,
    "[peer.fhir.results]": settings.EhrResultsTable,
    "[peer.fhir.auth]": settings.AuthTable,
    "[peer.fhir.tls]": settings.ClientTlsTable,
    "[peer.oru]": settings.OruTable,
    "[peer.oru.tls]": settings.OruTlsTable,
    "[peer.dicomweb]": settings.DicomwebTable,
    "[peer.orthanc]": settings.OrthancTable,
    "[peer.commitment]": settings.PeerCommitmentTable,
    "[peer.tls]": settings.PeerTlsTable,
    "[peer.feed]": settings.FeedTable,
    "[[profile]]": settings.ProfileTable,
    "[[rule]]": settings.RuleTable,
    "[exclude]": settings.ExcludeTable,
}


def default(field: FieldInfo, key: str) -> str:
    """Write a default as the reference does."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    match value:
        case None:
            return "none"
        case str():
            return f'`"{value}"`'
        case bool():
            return f"`{str(value).lower()}`"
        case () | frozenset():
            return "`[]`"
        case _:
            return "the shipped models" if key == "models" else f"`{value}`"


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_has_its_row_with_its_default(table: str) -> None:
    written = {
        key: cells[0] for key, cells in rows(section(page("reference/settings.md"), table)).items()
    }
    fields = TABLES[table].model_fields
    assert written == {key: default(field, key) for key, field in fields.items()}


def test_no_table_of_the_configuration_is_left_out() -> None:
    names = {f"[{name}]" for name in settings.Settings.model_fields} - {
        "[peer]",
        "[profile]",
        "[rule]",
    }
    assert names | {
        "[listener.tls]",
        "[[peer]]",
        "[peer.delivery]",
        "[peer.fhir]",
        "[peer.fhir.results]",
        "[peer.fhir.auth]",
        "[peer.fhir.tls]",
        "[peer.oru]",
        "[peer.oru.tls]",
        "[peer.dicomweb]",
        "[peer.orthanc]",
        "[peer.commitment]",
        "[peer.tls]",
        "[peer.feed]",
        "[[profile]]",
        "[[rule]]",
    } == set(TABLES)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Give every command below `command`, which may be a group, by its full name."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, one in children.items():
        yield from commands(one, f"{name} {child}")


import_module("node.cli.main")  # registers every command
COMMANDS = dict(commands(typer.main.get_command(app), "overread"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section_with_its_options(name: str) -> None:
    text = section(page("reference/commands.md"), f"`{name}`")
    assert text, f"no section `{name}`"
    options = [
        next(text for text in option.opts if text.startswith("--"))
        for option in COMMANDS[name].params
        if option.param_type_name == "option"
    ]
    told_for_all = {"--config", "--help"}
    assert [option for option in options if option not in told_for_all and option not in text] == []


def test_no_section_speaks_of_a_command_that_is_gone() -> None:
    lines = page("reference/commands.md").splitlines()
    written = {line.split("`")[1] for line in lines if line.startswith("### `")}
    assert written == set(COMMANDS)


def test_every_metric_has_its_row() -> None:
    assert set(rows(page("reference/metrics.md"))) == set(get_args(MetricName))


def test_every_outcome_of_an_instance_is_told_with_its_metric() -> None:
    cells = rows(page("reference/metrics.md"))["overread_instances_received_total"]
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in cells[-1]] == []


def test_every_field_that_may_be_logged_has_its_row() -> None:
    assert set(rows(page("reference/logs.md"))) == ALLOWED_FIELDS


def test_every_reason_has_its_row() -> None:
    codes = reason_codes() | {*Fault, *Unusable}
    assert len(codes) > 40, "the search for codes finds too little"
    assert codes - set(rows(page("reference/errors-and-reasons.md"))) == set()


def test_no_row_speaks_of_a_reason_that_is_gone() -> None:
    written = {code for code in rows(page("reference/errors-and-reasons.md")) if not code.isalnum()}
    assert written - reason_codes() - {*Fault, *Unusable} == set()


def test_every_status_of_a_refusal_is_told_twice() -> None:
    for name in ("reference/errors-and-reasons.md", "conformance/dicom.md"):
        assert [
            f"{status:04X}" for _, status in STATUS_OF if f"{status:04X}" not in page(name)
        ] == []


def test_transfer_syntaxes_stand_in_their_order() -> None:
    lines = page("conformance/dicom.md").splitlines()
    groups = ("| uncompressed", "| lossless", "| lossy")
    written = [line.strip("| ").split(" | ")[-1] for line in lines if line.startswith(groups)]
    assert written == list(TRANSFER_SYNTAXES)


def test_every_key_of_a_card_has_its_row() -> None:
    card = tomllib.loads(
        (ROOT / "inference/models/brain-extraction/card.toml").read_text(encoding="utf-8")
    )
    text = page("reference/card.md")
    for name, table in card.items():
        if name == "weights":
            continue  # its keys are files
        repeated = isinstance(table, list)
        written = rows(section(text, f"[[{name}]]" if repeated else f"[{name}]"))
        assert set(table[0] if repeated else table) <= set(written), name


def test_every_key_of_the_selection_languages_own_has_its_row() -> None:
    written = rows(section(page("reference/card.md"), "The selection language"))
    assert set(written) == set(OWN_FACTS)


def test_every_reason_of_a_missed_deadline_is_explained_twice() -> None:
    told = rows(section(page("reference/errors-and-reasons.md"), "Deadlines"))
    assert set(told) == set(Missed)
    text = page("explanation/expected-studies.md")
    assert [reason for reason in Missed if f"`{reason}`" not in text] == []


def test_the_version_has_its_heading_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    headings = [
        line
        for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert any(line.startswith(f"## [{project['version']}] - ") for line in headings), headings

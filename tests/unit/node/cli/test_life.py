"""Asking again and retracting, from the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import main as _  # noqa: F401 - registers the commands
from node.cli.app import app
from node.store import schema
from tests.contract.stores import Store, opened
from tests.unit.node.samples import SECRETS, STUDY, result_set

TOML = """
[node]
data = "{data}"
[inference]
models = "{models}"
[[peer]]
name = "modality"
roles = ["source"]
ae_title = "MODALITY"
"""


class Node:
    """A node's folder, and the command line beside it."""

    def __init__(self, config: Path, store: Store) -> None:
        self.config, self.store = config, store

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)])


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("COLUMNS", "200")
    data = tmp_path / "data"
    (data / "files").mkdir(parents=True)
    config = tmp_path / "overread.toml"
    shipped = Path(__file__).parents[4] / "inference" / "models"
    config.write_text(TOML.format(data=data, models=shipped))
    with opened("sqlite", data) as store:
        store.published()
        store.deliver_all()
        yield Node(config, store)


def jobs(store: Store) -> list[tuple[int, str]]:
    return sorted((row.request, row.state) for row in store.rows(schema.job))


@pytest.mark.parametrize("of", [STUDY, "ACC42", "job"])
def test_a_study_is_asked_again(node: Node, of: str) -> None:
    named = node.store.one(schema.job).job_id if of == "job" else of
    told = node.run("rerun", named)
    assert told.exit_code == 0, told.output
    assert "brain-extraction" in told.stdout
    assert jobs(node.store) == [(0, "COMPLETED"), (1, "SCHEDULED")]


def test_what_was_never_asked_cannot_be_asked_again(node: Node) -> None:
    told = node.run("rerun", "2.25.9")
    assert told.exit_code == 1
    assert "no job" in told.stderr


def test_a_model_that_is_gone_answers_nothing(node: Node) -> None:
    node.store.write("UPDATE job SET model = 'lungs'")
    told = node.run("rerun", STUDY)
    assert told.exit_code == 1
    assert "lungs" in told.stderr
    assert jobs(node.store) == [(0, "COMPLETED")]


@pytest.mark.parametrize("of", [STUDY, "ACC42", "result"])
def test_a_result_is_retracted_and_the_listings_say_so(node: Node, of: str) -> None:
    named = result_set().result_set_id if of == "result" else of
    told = node.run("retract", named, "--reason", "trained on wrong labels")
    assert told.exit_code == 0, told.output
    listed = json.loads(node.run("withdrawals", "--json").stdout)
    assert {(row["destination"], row["cause"], row["state"]) for row in listed} == {
        ("pacs", "RETRACTED", "OWED"),
        ("ehr", "RETRACTED", "OWED"),
    }
    story = node.run("explain", STUDY).stdout
    assert "RETRACTED (trained on wrong labels)" in story
    assert "withdrawal from ehr, RETRACTED: OWED" in story
    assert not any(secret in story for secret in SECRETS)
    again = node.run("retract", named, "--reason", "trained on wrong labels")
    assert again.exit_code == 1
    assert "no result that stands" in again.stderr


@pytest.mark.parametrize("reason", ["", "  ", "x" * 256])
def test_a_retraction_needs_a_reason(node: Node, reason: str) -> None:
    assert node.run("retract", STUDY, "--reason", reason).exit_code == 2
    assert node.store.one(schema.result_set).state == "CURRENT"

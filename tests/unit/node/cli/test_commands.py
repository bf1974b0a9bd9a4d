import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import main as command
from node.cli.app import app
from node.core.choice import Decision, Turn
from node.core.commitment import CommitmentRequest, Reference
from node.core.expectation import Expected, Judgement, Missed
from node.core.study import Outcome
from node.errors import OutOfResources, SettingsInvalid
from node.pipeline.receive import receive
from node.store import schema
from node.store.expectations import ExpectationStore
from node.store.files import FileStore
from tests.contract.stores import Store, opened
from tests.unit.node.samples import SECRETS, SERIES, STUDY, arrival, received

TOML = """
[node]
data = "{data}"
[[peer]]
name = "modality"
roles = ["source"]
ae_title = "MODALITY"
"""


@dataclass(kw_only=True)
class Node:
    """A node's folder, and the command line beside it."""

    config: Path
    store: Store
    files: FileStore

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)])

    def take(self, *numbers: int) -> None:
        for number in numbers:
            file = self.files.incoming("a1")
            receive(arrival(number, file=file), self.store.intake, lambda *_: None)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("COLUMNS", "200")
    config = tmp_path / "overread.toml"
    data = tmp_path / "data"
    (data / "files").mkdir(parents=True)
    config.write_text(TOML.format(data=data))
    with opened("sqlite", data) as store:
        yield Node(config=config, store=store, files=FileStore(data / "files"))


def test_explain_tells_the_story(node: Node) -> None:
    node.store.ready()
    node.store.jobs.cancel(node.store.claimed(), "MODEL-FAILED", "NaN")
    told = node.run("explain", STUDY)
    assert told.exit_code == 0
    assert f"study {STUDY}" in told.stdout
    for words in (
        "first instance",
        "job scheduled",
        "CANCELED (MODEL-FAILED: NaN)",
        "context: none",
    ):
        assert words in told.stdout
    assert not any(secret in told.output for secret in SECRETS)


def test_explain_shows_deliveries_and_stages(node: Node) -> None:
    node.store.published()
    claim = node.store.claimed_delivery()
    node.store.deliveries.park(claim, "EHR-403", "no scope")
    told = node.run("explain", STUDY).stdout
    assert f"delivery to {claim.destination}: PARKED (EHR-403: no scope)" in told
    assert "on a double: read 0.50 s" in told


def eventful(node: Node) -> None:
    """Make a study with an exclusion, rules that fired and did not, a missed deadline, and changes."""
    store = node.store
    store.receive(1, 2)
    store.receive(9, SeriesInstanceUID="2.25.299")
    expectations = ExpectationStore(store.database)
    heads = Expected(rule="heads", model="brain-extraction", deadline_s=60.0)
    for newcomer in expectations.newcomers():
        expectations.expect(newcomer, [heads])
    decided = {
        SERIES: ((), [
            Decision(rule="heads", turn=Turn.FIRES),
            Decision(rule="legs", turn=Turn.UNWANTED, why="rule: BodyPartExamined must be LEG"),
        ], None),
        "2.25.299": (
            ("EXCLUDED-LOCALISER: series 2.25.299: ImageType is LOCALIZER",),
            [],
            "EXCLUDED-LOCALISER",
        ),
    }  # fmt: skip
    for series in store.close_all():
        notes, decisions, excluded = decided[series.series_instance_uid]
        store.jobs.dispatch(series, (), notes, excluded, decisions)
    store.receive(3)
    store.take(received(1, PatientName="Neu^Anna"), Outcome.CORRECTION)
    store.take(received(2, SeriesDescription="other"), Outcome.CONFLICT)
    store.write("UPDATE expectation SET deadline_at = 1")
    for due in expectations.due():
        missed = Judgement(state="MISSED", reason=Missed.QUEUED, detail="no worker has claimed it")
        expectations.judge(due, missed)


def test_explain_has_a_line_for_each_decision_deadline_and_change(node: Node) -> None:
    eventful(node)
    told = node.run("explain", STUDY).stdout
    lines = [line.strip() for line in told.splitlines()]
    for line in (
        "series 2.25.299: excluded, EXCLUDED-LOCALISER: ImageType is LOCALIZER",
        f"series {SERIES}: rule heads fires",
        f"series {SERIES}: rule legs does not match (rule: BodyPartExamined must be LEG)",
        f"series {SERIES}: 1 instances came late",
        f"late images: series {SERIES} is open again",
        f"identity corrected: series {SERIES}: PatientName",
        "conflict: SOP Instance UID 2.25.3002 came with other content",
        "deadline of rule heads (brain-extraction), 1970-01-01 00:00:01: AI did not run, "
        "because NO-WORKER-FREE: no worker has claimed it",
    ):
        assert line in lines
    assert not any(secret in told for secret in (*SECRETS, "Anna"))


def test_explain_as_json_has_them_too(node: Node) -> None:
    eventful(node)
    story = json.loads(node.run("explain", STUDY, "--json").stdout)
    series = {one["series_instance_uid"]: one for one in story["series"]}
    assert series["2.25.299"]["excluded"] == {
        "reason": "EXCLUDED-LOCALISER",
        "why": "ImageType is LOCALIZER",
    }
    assert [one["turn"] for one in series[SERIES]["rules"]] == ["fires", "does not match"]
    assert (series[SERIES]["late"], series[SERIES]["excluded"]) == (1, None)
    (deadline,) = story["deadlines"]
    assert (deadline["state"], deadline["reason"]) == ("MISSED", "NO-WORKER-FREE")
    assert [one["what"] for one in story["changes"]] == [
        "late images",
        "identity corrected",
        "conflict",
    ]


@pytest.mark.parametrize("name", [STUDY, "2.25.1", "ACC42"])
def test_a_study_is_called_by_uid_beginning_or_accession_number(node: Node, name: str) -> None:
    node.store.receive(1)
    assert node.run("explain", name).exit_code == 0


@pytest.mark.parametrize("name", ["2.25.9", "ACC", "nonsense"])
def test_a_study_that_is_not_there(node: Node, name: str) -> None:
    node.store.receive(1)
    told = node.run("explain", name)
    assert told.exit_code == 1
    assert "no study, or more than one" in told.stderr


def test_a_name_of_two_studies_means_none(node: Node) -> None:
    node.store.receive(1)
    node.store.receive(2, StudyInstanceUID="2.25.101", SeriesInstanceUID="2.25.201")
    assert node.run("explain", "2.25.10").exit_code == 1
    assert node.run("explain", "2.25.101").exit_code == 0
    assert node.run("explain", "ACC42").exit_code == 1


def test_explain_as_json(node: Node) -> None:
    node.store.published()
    story = json.loads(node.run("explain", STUDY, "--json").stdout)
    assert story["study_instance_uid"] == STUDY
    assert story["jobs"][0]["state"] == "COMPLETED"
    assert story["jobs"][0]["context"] == {"used": [], "missing": {}, "refused": None}
    assert {one["destination"] for one in story["deliveries"]} == {"pacs", "ehr"}
    assert story["series"][0]["evidence"]["witness"] == "association-released-and-quiet"


@pytest.mark.parametrize(("what", "count"), [("studies", 1), ("jobs", 1), ("deliveries", 2)])
def test_listings(node: Node, what: str, count: int) -> None:
    node.store.published()
    listed = node.run(what, "--json")
    assert listed.exit_code == 0
    assert len(json.loads(listed.stdout)) == count
    table = node.run(what)
    assert table.exit_code == 0
    assert not any(secret in listed.stdout + table.stdout for secret in SECRETS)


def test_the_ledger_balances(node: Node) -> None:
    node.take(1, 2, 3)
    balanced = node.run("ledger", "--verify")
    assert balanced.exit_code == 0
    assert "3 acknowledged, 3 accounted for" in balanced.stdout


def test_a_ledger_that_does_not_balance_ends_with_1(node: Node) -> None:
    node.take(1, 2, 3)
    (node.files.root / node.store.rows(schema.instance)[0].path).unlink()
    unbalanced = node.run("ledger")
    assert unbalanced.exit_code == 1
    assert "3 acknowledged, 2 accounted for" in unbalanced.stdout
    assert "is gone" in unbalanced.stderr
    as_json = node.run("ledger", "--json")
    assert as_json.exit_code == 1
    body = json.loads(as_json.stdout)
    assert (body["found"], body["adds_up"], body["accounted"]) == (1, False, 2)
    (told,) = body["differences"]
    assert told["code"] == "FILE-GONE"
    assert told["sentence"] in unbalanced.stderr


def test_the_ledger_shows_both_sides(node: Node) -> None:
    node.store.published()
    shown = node.run("ledger").stdout
    for words in ("stored", "in jobs", "excluded by rule", "expired", "ordered", "OWED"):
        assert words in shown


def test_retention_says_what_would_go_and_deletes_only_when_told(node: Node) -> None:
    node.take(1, 2, 3)
    (series,) = node.store.close_all()
    node.store.jobs.dispatch(series, (), ("NO-RULES: none",))
    kept = node.run("retention", "--dry-run")
    assert "1 series kept: KEPT-FOREVER" in kept.stdout
    with node.config.open("a") as file:
        file.write("[retention]\nunrouted_keep_days = 0\n")
    dry = node.run("retention", "--dry-run", "--json")
    body = json.loads(dry.stdout)
    assert (body["dry_run"], body["series"][0]["reason"]) == (True, "UNROUTED-AND-KEPT")
    assert len(node.store.rows(schema.instance)) == 3
    assert "3 instances in 1 series gone" in node.run("retention", "--run").stdout
    assert node.store.rows(schema.instance) == []
    assert node.run("ledger", "--verify").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--run", "--dry-run")])
def test_retention_deletes_nothing_by_mistake(node: Node, options: tuple[str, ...]) -> None:
    assert node.run("retention", *options).exit_code == 2


def test_a_changed_byte_is_found_only_when_asked_for(node: Node) -> None:
    node.take(1)
    path = node.files.root / node.store.one(schema.instance).path
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert node.run("ledger").exit_code == 0
    assert node.run("ledger", "--verify").exit_code == 1


def test_a_parked_delivery_is_owed_again(node: Node) -> None:
    node.store.published()
    claim = node.store.claimed_delivery()
    assert node.run("retry", claim.delivery_id).exit_code == 1
    node.store.deliveries.park(claim, "NO", "no")
    assert node.run("retry", claim.delivery_id).exit_code == 0
    states = {row.delivery_id: row.state for row in node.store.rows(schema.delivery)}
    assert states[claim.delivery_id] == "OWED"


def test_parked_deliveries_are_listed_and_owed_again_together(node: Node) -> None:
    node.store.published()
    for reason in ("EHR-422", "NOT-ROUTED"):
        node.store.deliveries.park(node.store.claimed_delivery(), reason, "no")
    (letter,) = json.loads(node.run("deliveries", "--parked", "--json").stdout)
    assert letter["reason"] == "EHR-422"
    (told,) = [
        row
        for row in json.loads(node.run("destinations", "--json").stdout)
        if row["destination"] == letter["destination"]
    ]
    assert (told["state"], told["parked"]) == ("ANSWERS", 1)
    assert "ANSWERS" in node.run("destinations").stdout
    assert "0 deliveries" in node.run("retry", "--parked", "--destination", "nobody").stdout
    assert "1 deliveries" in node.run("retry", "--parked").stdout
    assert json.loads(node.run("deliveries", "--parked", "--json").stdout) == []


@pytest.mark.parametrize(
    "arguments", [(), ("some-delivery", "--parked"), ("x", "--destination", "y")]
)
def test_either_one_or_all_are_owed_again(node: Node, arguments: tuple[str, ...]) -> None:
    assert node.run("retry", *arguments).exit_code == 2


def test_a_parked_withdrawal_is_told_and_owed_again(node: Node) -> None:
    node.store.published()
    node.store.deliver_all()
    node.store.correct()
    claim = node.store.claimed_withdrawal()
    assert node.run("retry", claim.withdrawal_id).exit_code == 1
    node.store.withdrawals.park(claim, "EHR-403", "no scope")
    told = " ".join(node.run("explain", STUDY).stdout.split())
    assert f"withdrawal from {claim.destination}, IDENTITY-CORRECTED: PARKED (EHR-403: no" in told
    assert f"overread retry {claim.withdrawal_id}" in told
    listed = json.loads(node.run("withdrawals", "--json").stdout)
    assert sorted(row["state"] for row in listed) == ["OWED", "PARKED"]
    assert "withdrawals" in node.run("ledger").stdout
    assert node.run("retry", claim.withdrawal_id).exit_code == 0
    assert {row.state for row in node.store.rows(schema.withdrawal)} == {"OWED"}


def test_a_delivery_to_the_wrong_patient_is_not_offered_again(node: Node) -> None:
    node.store.published()
    node.store.correct()
    told = node.run("explain", STUDY).stdout
    assert "PARKED (IDENTITY-CORRECTED" in told
    assert "overread retry" not in told


def test_a_parked_report_of_commitment_is_listed_and_owed_again(node: Node) -> None:
    request = CommitmentRequest(
        peer="modality", transaction_uid="2.25.9", references=(Reference("2.25.3001", "1.2"),)
    )
    node.store.commitments.ask(request)
    claim = node.store.commitments.claim()
    assert claim is not None
    assert node.run("retry", request.commitment_id).exit_code == 1
    node.store.commitments.park(claim, "PEER-UNAVAILABLE")
    (listed,) = json.loads(node.run("commitments", "--json").stdout)
    assert (listed["state"], listed["reason"]) == ("PARKED", "PEER-UNAVAILABLE")
    assert "modality" in node.run("commitments").stdout
    assert node.run("retry", request.commitment_id).exit_code == 0
    assert node.store.one(schema.commitment).state == "OWED"


@pytest.mark.parametrize(
    "arguments",
    [
        ("studies",),
        ("explain", "1"),
        ("ledger",),
        ("check",),
        ("serve",),
        ("listener",),
        ("keeper",),
        ("worker",),
        ("web",),
    ],
)
def test_an_invalid_configuration_ends_with_2_and_every_error(
    node: Node, arguments: tuple[str, ...]
) -> None:
    node.config.write_text("[node]\ncolour = 1\n[listener]\nport = 0\n")
    refused = node.run(*arguments)
    assert refused.exit_code == 2
    for place in ("node.data", "node.colour", "listener.port"):
        assert place in refused.stderr


def test_a_configuration_that_is_not_there(node: Node) -> None:
    node.config.unlink()
    refused = node.run("studies")
    assert refused.exit_code == 2
    assert "No such file" in refused.stderr


def test_a_worker_of_an_unknown_queue(node: Node) -> None:
    assert node.run("worker", "--queue", "everything").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsInvalid(("rule heads: no card", "rule lungs: no card")), 2, "rule lungs: no card"),
        (OutOfResources("database: OperationalError"), 1, "OutOfResources: database"),
    ],
)
def test_what_the_node_refuses_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    words: str,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert words in capsys.readouterr().err

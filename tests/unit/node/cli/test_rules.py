import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from node import bootstrap, settings
from node.cli.app import app
from node.cli.main import main  # registers every command
from node.clock import SystemClock
from node.pipeline.apart import Apart
from node.pipeline.dispatch import dispatch
from node.store import schema
from tests.contract.stores import Store, opened
from tests.unit.node.samples import EVIDENCE, MR, SECRETS, dicom, encoded

assert callable(main)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "overread.toml"
    path.write_text(
        f'[node]\ndata = "{tmp_path / "data"}"\n[[rule]]\nname = "heads"\n'
        'model = "brain-extraction"\nselect = { Modality = "CT" }\n'
    )
    return path


def test_a_folder_is_tried_rule_by_rule_without_naming_anybody(
    tmp_path: Path, config: Path
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(dicom(1))
    done = CliRunner().invoke(app, ["rules", "test", str(folder), "--json", "-c", str(config)])
    ((tried,), code) = json.loads(done.output), done.exit_code
    assert (code, tried["excluded"]) == (0, None)
    (rule,) = tried["rules"]
    assert not rule["fires"]
    assert {"criterion": "rule: Modality must be CT", "holds": False} in rule["checks"]
    assert {"criterion": "card: Modality must be MR", "holds": True} in rule["checks"]
    assert not any(secret in done.output for secret in SECRETS)


@pytest.mark.parametrize("private_class", [False, True])
def test_a_folder_is_asked_for_private_elements_and_classes(
    tmp_path: Path, config: Path, private_class: bool
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    sop_class = "1.3.12.2.1107.5.9.1" if private_class else MR
    dataset = dcmread(BytesIO(dicom(1, SOPClassUID=sop_class)))
    dataset.add_new(0x00190011, "LO", "ACME")
    dataset.add_new(0x0019110C, "IS", "1000")
    (folder / "1.dcm").write_bytes(encoded(dataset))
    config.write_text(
        config.read_text().replace('Modality = "CT"', '"0019,0c ACME" = { min = 1000 }')
    )
    done = CliRunner().invoke(app, ["rules", "test", str(folder), "--json", "-c", str(config)])
    checks = {
        one["criterion"]: one["holds"] for one in json.loads(done.output)[0]["rules"][0]["checks"]
    }
    assert checks["rule: 0019,0c ACME must be at least 1000"]
    refused = "rule: SOPClassUID must be named, because it is private"
    assert (refused in checks, checks.get(refused, False)) == (private_class, False)


def test_a_replay_of_nothing_changes_nothing(config: Path) -> None:
    done = CliRunner().invoke(
        app, ["rules", "replay", "--since", "7d", "--json", "-c", str(config)]
    )
    assert json.loads(done.output) == {
        "studies": 0,
        "series": 0,
        "same": 0,
        "new_job": 0,
        "no_job_any_more": 0,
        "rows": [],
    }
    wrong = CliRunner().invoke(app, ["rules", "replay", "--since", "week", "-c", str(config)])
    assert wrong.exit_code == 2


MODELS = Path(__file__).parents[3] / "acceptance" / "models"
RULE = """
[node]
data = "{data}"
[inference]
models = "{models}"
[[rule]]
name = "heads"
model = "threshold-brain"
select = {{ Modality = "MR"{more} }}
prefer = [{{ SliceThickness = {{ max = 1.0 }} }}]
"""


def routed(store: Store, config: Path) -> None:
    """Send a thick and a thin series, and a localiser, and let dispatch decide by the configuration."""
    store.receive(*range(1, 17), SeriesInstanceUID="2.25.201", SliceThickness="3")
    store.receive(*range(20, 40), SeriesInstanceUID="2.25.202", SliceThickness="1")
    store.receive(50, SeriesInstanceUID="2.25.203", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    store.close_all(replace(EVIDENCE, instances=20))
    routes = bootstrap.routes(settings.load(config, {}))
    for _ in range(2):
        dispatch(store.intake, store.jobs, routes, Apart(SystemClock()))
    assert store.intake.undispatched_series() == []


def test_a_replay_of_what_was_routed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    data = tmp_path / "data"
    data.mkdir()
    config, other = tmp_path / "overread.toml", tmp_path / "other.toml"
    config.write_text(RULE.format(data=data, models=MODELS, more=""))
    with opened("sqlite", data) as store:
        routed(store, config)
        assert [row.series_instance_uid for row in store.rows(schema.job)] == ["2.25.202"]

    def replay(file: Path, *options: str) -> str:
        done = CliRunner().invoke(app, ["rules", "replay", "-c", str(file), *options])
        assert done.exit_code == 0, done.output
        assert not any(secret in done.output for secret in SECRETS)
        return done.output

    found = json.loads(replay(config, "--json"))
    rows = {row["series_instance_uid"]: row for row in found["rows"]}
    assert (found["studies"], found["series"], found["same"]) == (1, 3, 1)
    assert rows["2.25.202"]["would"] == "heads"
    assert rows["2.25.201"]["would"] == "passed over"
    assert rows["2.25.203"]["was"] == rows["2.25.203"]["would"] == "EXCLUDED-LOCALISER"
    assert "jobs: 1 the same, 0 new, 0 no more" in replay(config)
    with closing(sqlite3.connect(data / "overread.db")) as connection:  # as retention does
        connection.execute("DELETE FROM instance")
        connection.commit()
    assert "jobs: 1 the same, 0 new, 0 no more" in replay(config)

    other.write_text(RULE.format(data=data, models=MODELS, more=", SliceThickness = { min = 2.0 }"))
    told = replay(other)
    assert "jobs: 0 the same, 1 new, 1 no more" in told
    changes = [
        (row["series_instance_uid"], row["change"])
        for row in json.loads(replay(other, "--json"))["rows"]
    ]
    assert ("2.25.202", "no job any more") in changes
    assert ("2.25.201", "new job") in changes
    assert replay(other, "--since", "1m", "--json").count('"new job"') == 1

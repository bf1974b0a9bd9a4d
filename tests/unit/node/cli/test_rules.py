import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli.app import app
from node.cli.main import main  # registers every command
from tests.unit.node.samples import SECRETS, dicom

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


def test_a_replay_of_nothing_changes_nothing(config: Path) -> None:
    done = CliRunner().invoke(
        app, ["rules", "replay", "--since", "7d", "--json", "-c", str(config)]
    )
    assert json.loads(done.output) == {"series": 0, "changed": []}
    wrong = CliRunner().invoke(app, ["rules", "replay", "--since", "week", "-c", str(config)])
    assert wrong.exit_code == 2

import json
from pathlib import Path

from joserfc.jwk import ECKey, RSAKey
from typer.testing import CliRunner

import node.cli.main  # noqa: F401 -- registers every command
from node.cli.app import app


def _config(folder: Path, auth: str) -> str:
    path = folder / "overread.toml"
    path.write_text(
        f"""
        [node]
        data = "{folder}"
        [[peer]]
        name = "ehr"
        roles = ["ehr"]
        [peer.fhir]
        url = "https://ehr.example/fhir"
        {auth}
        """,
        encoding="utf-8",
    )
    return str(path)


def test_the_public_halves_of_all_keys_are_printed(tmp_path: Path) -> None:
    (tmp_path / "old.pem").write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    (tmp_path / "new.pem").write_bytes(ECKey.generate_key("P-384").as_pem(private=True))
    places = [f"file:{tmp_path}/{name}.pem" for name in ("old", "new")]
    auth = f'auth = {{ kind = "smart", client_id = "overread", keys = {json.dumps(places)} }}'
    config = _config(tmp_path, auth)
    done = CliRunner().invoke(app, ["fhir", "jwks", "--config", config])
    assert done.exit_code == 0, done.output
    keys = json.loads(done.stdout)["keys"]
    assert [key["alg"] for key in keys] == ["RS384", "ES384"]
    assert not any({"d", "p", "q"} & set(key) for key in keys)
    other = CliRunner().invoke(app, ["fhir", "jwks", "--config", config, "--peer", "other"])
    assert other.exit_code == 1


def test_without_keys_there_is_nothing_to_print(tmp_path: Path) -> None:
    assert (
        CliRunner().invoke(app, ["fhir", "jwks", "--config", _config(tmp_path, "")]).exit_code == 1
    )

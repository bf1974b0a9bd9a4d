import traceback
from pathlib import Path

import pytest

from node import settings
from node.bootstrap.reach import auth_of
from node.errors import SettingsInvalid
from node.settings import Peer
from node.settings.secrets import read_secret

SECRET = "s3cr3t-of-the-test"


def test_a_secret_stands_in_the_environment() -> None:
    read = read_secret("env:EHR_TOKEN", "peer ehr", {"EHR_TOKEN": SECRET})
    assert read.get_secret_value() == SECRET


def test_a_secret_stands_in_a_file_and_its_line_end_is_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n", encoding="utf-8")
    read = read_secret(f"file:{tmp_path / 'token'}", "peer ehr", {})
    assert read.get_secret_value() == SECRET


def test_a_secret_is_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "ehr").write_text(SECRET, encoding="utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("credential:ehr", "peer ehr", environment).get_secret_value() == SECRET


def test_a_secret_that_was_read_is_not_shown() -> None:
    read = read_secret("env:EHR_TOKEN", "peer ehr", {"EHR_TOKEN": SECRET})
    assert SECRET not in f"{read!r} {read} {[read]}"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("env:ABSENT", "peer ehr: env:ABSENT is not set or empty"),
        ("env:EMPTY", "peer ehr: env:EMPTY is not set or empty"),
        ("credential:ehr", "peer ehr: credential:ehr: CREDENTIALS_DIRECTORY is not set"),
        ("file:/nowhere/token", "peer ehr: file:/nowhere/token: No such file or directory"),
        ("file:/dev/null", "peer ehr: file:/dev/null is not set or empty"),
        ("file:/dev/zero", "peer ehr: file:/dev/zero is longer than 65536 bytes"),
    ],
)
def test_a_place_without_a_secret_is_told(place: str, told: str) -> None:
    with pytest.raises(SettingsInvalid) as invalid:
        read_secret(place, "peer ehr", {"EMPTY": " \n"})
    assert invalid.value.faults == (told,)


def test_what_is_no_text_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(SettingsInvalid) as invalid:
        read_secret(f"file:{tmp_path / 'key'}", "peer ehr", {})
    told = "".join(traceback.format_exception(invalid.value))
    assert "is not UTF-8 text" in told
    assert SECRET not in told


@pytest.mark.parametrize("table", ["fhir", "dicomweb"])
@pytest.mark.parametrize(
    "token", [SECRET, f"env:{SECRET}", f"file:{SECRET}", f"credential:/{SECRET}"]
)
def test_a_secret_written_into_the_file_itself_is_refused_and_not_repeated(
    tmp_path: Path, table: str, token: str
) -> None:
    path = tmp_path / "overread.toml"
    path.write_text(
        f"""
        [node]
        data = "/srv/overread"
        [[peer]]
        name = "hospital"
        roles = ["archive"]
        ae_title = "PACS"
        host = "127.0.0.1"
        port = 104
        {table} = {{ url = "https://ehr.example", token = "{token}" }}
        """,
        encoding="utf-8",
    )
    with pytest.raises(SettingsInvalid) as invalid:
        settings.load(path, {})
    (fault,) = invalid.value.faults
    assert f"{table}.token" in fault
    assert "a secret is named as env:NAME, file:/PATH or credential:NAME" in fault
    assert SECRET not in "".join(traceback.format_exception(invalid.value))


def test_a_token_is_read_from_its_place_and_named_in_one_way_only(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET, encoding="utf-8")
    place = f"file:{tmp_path / 'token'}"
    table = {"url": "https://ehr.example", "token": place}
    peer = Peer.model_validate({"name": "ehr", "roles": ["ehr"], "fhir": table})
    assert peer.fhir is not None
    auth = auth_of(peer, peer.fhir)
    assert auth.header() == f"Bearer {SECRET}"
    assert SECRET not in repr(auth) + repr(peer)
    with pytest.raises(ValueError, match="token and token_env are two names of one thing"):
        Peer.model_validate({"name": "ehr", "roles": ["ehr"], "fhir": {**table, "token_env": "T"}})

"""What a keeper that was killed while it fetched leaves, and what the next one makes of it."""

from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import select

from integrations.pacs.qido import QidoArchiveIndex
from integrations.pacs.query import DicomArchiveIndex
from node.bootstrap import archive_index
from node.bootstrap.archives import archives
from node.bootstrap.state import database
from node.dicom.header import read_header
from node.errors import SettingsInvalid
from node.settings import Settings
from node.store import schema
from node.store.files import FileStore
from node.store.index import IntakeStore
from tests.unit.node.samples import dicom, digest_of


def settings_of(data: Path, **archive: object) -> Settings:
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104} | archive
    source = {"name": "ct", "ae_title": "CT", "roles": ["source"], "archive": "pacs"}
    return Settings.model_validate({
        "node": {"data": str(data)},
        "peer": [pacs | {"roles": ["archive"]}, source],
    })


def test_what_was_fetched_and_not_recorded_is_recorded(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, retrieve="get")
    opened = database(settings)
    (archive,) = archives(settings, opened)
    IntakeStore(opened, owner="fetch-pacs").association_opened("a1", "pacs")
    store = FileStore(tmp_path / "files", listener="fetch-pacs")
    file, data = store.incoming("a1"), dicom(1)
    file.write(data)
    path = file.keep(read_header(BytesIO(data)), digest_of(data))
    store.incoming("a1").write(b"half of one")
    for _ in range(2):
        archive.recover()
    with opened.reading() as (connection, _):
        lines = connection.execute(select(schema.journal.c.path, schema.journal.c.peer)).all()
        outcomes = connection.execute(select(schema.association.c.outcome)).scalars().all()
    assert [tuple(line) for line in lines] == [(path, "pacs")]
    assert outcomes == ["BROKEN"]
    assert list((tmp_path / "files" / "incoming" / "fetch-pacs").iterdir()) == []


def test_by_move_there_is_nothing_to_recover(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (archive,) = archives(settings, database(settings))
    archive.recover()
    assert not (tmp_path / "files").exists()


def test_an_archive_with_dicomweb_is_asked_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_TOKEN", "s3cret")
    told = {"url": "https://pacs.test/dicom-web", "token_env": "PACS_TOKEN"}
    with_it, without = settings_of(tmp_path, dicomweb=told), settings_of(tmp_path)
    assert isinstance(archive_index(with_it, with_it.peer_named("pacs")), QidoArchiveIndex)
    assert isinstance(archive_index(without, without.peer_named("pacs")), DicomArchiveIndex)
    monkeypatch.delenv("PACS_TOKEN")
    with pytest.raises(SettingsInvalid, match="PACS_TOKEN is not set"):
        archive_index(with_it, with_it.peer_named("pacs"))

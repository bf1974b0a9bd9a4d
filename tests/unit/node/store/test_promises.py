import os
import threading
import time
from pathlib import Path

import pytest

from node.core.identifiers import data_set_digest
from node.core.receipt import PREAMBLE_BYTES, Receipt
from node.errors import NotUnderstood, OutOfResources
from node.store.files import FileStore
from node.store.incoming import IncomingFile
from node.store.promises import PromisedFiles
from tests.unit.node.samples import SERIES, STUDY, dicom, header_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    root.mkdir()
    return root


def sealed(files: FileStore, number: int = 1) -> IncomingFile:
    file = files.incoming("a1")
    file.write(dicom(number))
    file.seal("a1")
    file.close()
    return file


def test_a_sealed_file_is_found_by_its_name_oldest_first(root: Path) -> None:
    promises = PromisedFiles(root)
    first, second = sealed(FileStore(root)), sealed(FileStore(root, listener="1"))
    os.utime(root / "incoming" / first.name, (2e9, 2e9))
    assert promises.waiting() == [second.name, first.name]
    found = promises.reopened(first.name)
    assert found is not None
    association_id, file = found
    assert association_id == "a1"
    with file.reading() as source:
        content = source.read()
    assert content[PREAMBLE_BYTES:] == dicom(1)[PREAMBLE_BYTES:]
    assert Receipt.decode(content[:PREAMBLE_BYTES]) == Receipt(
        association_id="a1", size=len(dicom(1))
    )


def test_what_nobody_promised_is_not_found(root: Path) -> None:
    half = FileStore(root).incoming("a1")
    half.write(dicom())
    assert PromisedFiles(root).waiting() == []
    assert PromisedFiles(root).all_recorded(0.0)


def test_bytes_name_and_receipt_are_synced_in_this_order(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fdatasync", "fsync", "pwritev"):
        real = getattr(os, name)

        def noted(*arguments: object, name: str = name, real: object = real) -> object:
            calls.append(name)
            return real(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(f"node.store.durable.os.{name}", noted)
    sealed(FileStore(root))
    assert calls == ["fdatasync", "fsync", "pwritev"]
    calls.clear()
    sealed(FileStore(root, durable=False))
    assert calls == []


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwritev"])
def test_a_disk_that_refuses_leaves_no_promise(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = FileStore(root).incoming("a1")
    file.write(dicom())

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(f"node.store.durable.os.{call}", fail)
        with pytest.raises(OutOfResources, match="disk: Input/output error"):
            file.seal("a1")
    file.discard()
    assert not list((root / "incoming").rglob("a1.*"))


def test_a_receipt_that_is_written_in_part_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FileStore(root).incoming("a1")
    file.write(dicom())
    monkeypatch.setattr("node.store.durable.os.pwritev", lambda *_: 100)
    with pytest.raises(OutOfResources):
        file.seal("a1")


def test_what_somebody_removed_is_not_promised(root: Path) -> None:
    file = FileStore(root).incoming("a1")
    file.write(dicom())
    (root / "incoming" / file.name).unlink()
    with pytest.raises(OutOfResources, match="No such file"):
        file.seal("a1")


def test_a_promised_file_is_not_discarded_and_no_start_up_removes_it(root: Path) -> None:
    file = sealed(FileStore(root))
    file.discard()
    assert list(FileStore(root).left_over()) == []
    assert PromisedFiles(root).waiting() == [file.name]


def test_several_are_named_and_their_folders_synced_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promises = PromisedFiles(root)
    files = FileStore(root)
    names = [sealed(files, number).name for number in (1, 2, 3)]
    opened = [found[1] for name in names if (found := promises.reopened(name)) is not None]
    todo = []
    for number, file in enumerate(opened, 1):
        with file.reading() as source:
            todo.append((file, header_of(dicom(number)), data_set_digest(source)))
    synced: list[Path] = []
    monkeypatch.setattr("node.store.incoming.sync_folder", synced.append)
    paths = promises.keep(todo)
    assert synced == [root / "instances" / STUDY / SERIES]
    for number, (file, path) in enumerate(zip(opened, paths, strict=True), 1):
        assert (root / path).read_bytes()[PREAMBLE_BYTES:] == dicom(number)[PREAMBLE_BYTES:]
        file.settle()
    assert promises.waiting() == []


def test_what_is_recorded_by_now_is_nothing(root: Path) -> None:
    promises = PromisedFiles(root)
    file = sealed(FileStore(root))
    assert promises.waits(file.name)
    assert promises.since(file.name) == pytest.approx(time.time(), abs=5)
    (root / "incoming" / file.name).unlink()
    assert promises.reopened(file.name) is None
    assert promises.since(file.name) is None
    assert not promises.waits(file.name)


def test_a_file_that_its_receipt_does_not_fit(root: Path) -> None:
    file = sealed(FileStore(root))
    with (root / "incoming" / file.name).open("ab") as more:
        more.write(b"\0\0")
    with pytest.raises(NotUnderstood):
        PromisedFiles(root).reopened(file.name)


def test_what_is_set_aside_is_found_when_it_is_asked_for(root: Path) -> None:
    promises = PromisedFiles(root)
    file = sealed(FileStore(root))
    promises.set_aside(file.name)
    assert promises.waiting() == []
    assert promises.waiting(aside=True) == [f"{file.name}.aside"]
    promises.set_aside(f"{file.name}.aside")
    assert promises.waiting(aside=True) == [f"{file.name}.aside"]
    assert promises.all_recorded(0.0)  # nobody waits for it


def test_what_is_set_aside_outlives_a_start_up_even_without_its_receipt(root: Path) -> None:
    file = sealed(FileStore(root))
    path = root / "incoming" / file.name
    with path.open("r+b") as damaged:
        damaged.write(bytes(PREAMBLE_BYTES))
    PromisedFiles(root).set_aside(file.name)
    assert list(FileStore(root).left_over()) == []
    assert path.with_name(f"{path.name}.aside").exists()


def test_one_alone_records(root: Path) -> None:
    with PromisedFiles(root).alone(lambda: False) as first:
        assert first
        with PromisedFiles(root).alone(lambda: True) as second:
            assert not second
    with PromisedFiles(root).alone(lambda: True) as third:
        assert third


def test_who_asks_waits_until_what_is_promised_now_is_recorded(root: Path) -> None:
    promises = PromisedFiles(root)
    file = sealed(FileStore(root))
    assert not promises.all_recorded(0.05)
    path = root / "incoming" / file.name
    thread = threading.Timer(0.1, path.unlink)
    thread.start()
    assert promises.all_recorded(20)
    thread.join()

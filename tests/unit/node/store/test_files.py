import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.errors import OutOfResources
from node.store.files import FileStore
from node.store.folders import REMOVALS, EmptyFolders
from node.store.promises import PromisedFiles
from tests.unit.node.samples import SERIES, STUDY, arrival

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    root = tmp_path / "files"
    root.mkdir()
    return FileStore(root)


class Synced:
    """What was synced, in order: ``("file", size)`` or ``("folder", name)``."""

    def __init__(self, root: Path, real: Callable[[int], None]) -> None:
        self.root, self.real = root, real
        self.seen: list[tuple[str, Any]] = []

    def __call__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            name = Path(f"/proc/self/fd/{descriptor}").readlink()
            listed = sorted(entry.name for entry in name.iterdir())
            self.seen.append((str(name.relative_to(self.root.parent)), listed))
        else:
            self.seen.append(("file", status.st_size))
        self.real(descriptor)


@pytest.fixture
def synced(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> Synced:
    spy = Synced(files.root, os.fsync)
    monkeypatch.setattr("node.store.durable.os.fsync", spy)
    return spy


def kept(files: FileStore, data: bytes = b"whole", digest: str = DIGEST) -> str:
    file = files.incoming("a1")
    try:
        file.write(data)
        path = file.keep(arrival().header, digest)
    except OutOfResources:
        file.discard()
        raise
    file.settle()
    return path


def test_a_file_lies_under_its_study_series_and_instance(files: FileStore) -> None:
    path = kept(files)
    assert path == f"instances/{STUDY}/{SERIES}/2.25.3001.0123456789abcdef.dcm"
    assert (files.root / path).read_bytes() == b"whole"
    assert list((files.root / "incoming" / "0").iterdir()) == []


def test_file_and_every_new_folder_are_synced_before_the_path_is_told(
    files: FileStore, synced: Synced
) -> None:
    path = Path(kept(files))
    folder = f"files/instances/{STUDY}/{SERIES}"
    assert ("files/instances", [STUDY]) in synced.seen
    assert (f"files/instances/{STUDY}", [SERIES]) in synced.seen
    # the bytes first, then, under the final name, the folder
    assert synced.seen[-2:] == [("file", 5), (folder, [path.name])]


def test_a_folder_that_somebody_else_made_is_synced_once(files: FileStore, synced: Synced) -> None:
    (files.root / "instances" / STUDY / SERIES).mkdir(parents=True)  # and perhaps not synced yet
    kept(files)
    assert ("files/instances", [STUDY]) in synced.seen
    assert (f"files/instances/{STUDY}", [SERIES]) in synced.seen
    synced.seen.clear()
    kept(files, digest="f" * 64)
    assert [what for what, _ in synced.seen] == ["file", f"files/instances/{STUDY}/{SERIES}"]


def test_a_folder_that_was_taken_away_is_made_again(files: FileStore) -> None:
    path = files.root / kept(files)
    path.unlink()
    path.parent.rmdir()
    assert (files.root / kept(files)).read_bytes() == b"whole"


def mkdir_elsewhere(folder: Path) -> None:
    """Make a folder as another process does that was not so far as to sync its name."""
    folder.mkdir(parents=True, exist_ok=True)


def names_above(folder: Path) -> list[tuple[str, Any]]:
    return [("files/instances", [STUDY]), (f"files/instances/{STUDY}", [SERIES])]


def test_what_is_remembered_of_a_folder_ends_when_empty_ones_are_removed(
    files: FileStore, synced: Synced
) -> None:
    path = files.root / kept(files)
    path.unlink()
    assert EmptyFolders(files.root).remove() == 2
    mkdir_elsewhere(path.parent)
    synced.seen.clear()
    kept(files)
    assert [one for one in names_above(path.parent) if one not in synced.seen] == []


@pytest.mark.parametrize("remade", [True, False], ids=["made by another", "gone"])
def test_a_folder_that_is_removed_just_before_it_gets_its_file(
    files: FileStore, synced: Synced, monkeypatch: pytest.MonkeyPatch, remade: bool
) -> None:
    folder = files.root / "instances" / STUDY / SERIES
    link = os.link
    calls: list[Path] = []

    def link_later(old: Path, new: Path) -> None:
        if not calls:
            calls.append(new)
            EmptyFolders(files.root).remove()
            if remade:
                mkdir_elsewhere(folder)
            synced.seen.clear()
        link(old, new)

    monkeypatch.setattr(os, "link", link_later)
    path = files.root / kept(files)
    assert path.read_bytes() == b"whole"
    assert [one for one in names_above(folder) if one not in synced.seen] == []


def test_folders_with_something_in_them_stay_and_others_go(files: FileStore) -> None:
    path = files.root / kept(files)
    files.keep_result("2.25.9", "seg.dcm", b"seg")
    for empty in ("instances/2.25.1/2.25.2", f"instances/{STUDY}/2.25.3", "results/2.25.8"):
        (files.root / empty).mkdir(parents=True)
    assert EmptyFolders(files.root).remove() == 4
    assert path.exists()
    assert (files.root / "results/2.25.9/seg.dcm").exists()
    assert sorted(one.name for one in (files.root / "instances").iterdir()) == [STUDY]


def test_while_folders_are_removed_every_name_above_is_synced(
    files: FileStore, synced: Synced
) -> None:
    kept(files)
    (files.root / REMOVALS).write_bytes(b".")  # one runs, or was killed
    synced.seen.clear()
    kept(files, digest="e" * 64)
    assert [one for one in names_above(files.root) if one not in synced.seen] == []
    EmptyFolders(files.root).recover()
    kept(files, digest="d" * 64)
    synced.seen.clear()
    kept(files, digest="c" * 64)
    assert len(synced.seen) == 2


class Refuses:
    """A disk that refuses one call: the n-th of those that keep a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left, self.refused = at, ""
        for owner, name in ((os, "fsync"), (os, "link"), (os, "open"), (Path, "mkdir")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name), name))

    def _around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.refused = name
                raise OSError(errno.EIO, "Input/output error")
            return call(*arguments, **named)

        return called


@pytest.mark.parametrize("standing", [False, True], ids=["new", "stands already"])
def test_refused_at_any_step_a_file_has_both_names_or_none(
    files: FileStore, monkeypatch: pytest.MonkeyPatch, standing: bool
) -> None:
    refusals, step = [], 0
    while True:
        step += 1
        digest = f"{step:016x}" + "0" * 48
        if standing:
            kept(files, digest=digest)
        file = files.incoming("a1")
        file.write(b"whole")
        with monkeypatch.context() as patch:
            disk = Refuses(patch, step)
            try:
                path = files.root / file.keep(arrival().header, digest)
            except OutOfResources:
                refusals.append(disk.refused)
        if not disk.refused:
            break
        file.discard()
        waits = list((files.root / "incoming" / "0").iterdir())
        named = [
            one.stat().st_nlink for one in (files.root / "instances").rglob(f"*.{digest[:16]}.*")
        ]
        assert named == ([1] if standing else [2] * len(waits))
        assert len(waits) == (0 if standing else len(named))
        path = files.root / kept(files, digest=digest)  # sent again, and taken
        for _, found in FileStore(files.root).left_over():  # after a restart
            assert files.root / found.keep(arrival().header, digest) == path
            found.settle()
        assert path.read_bytes() == b"whole"
        assert path.stat().st_nlink == 1
    assert "fsync" in refusals
    assert "link" in refusals
    assert not list(files.root.rglob("*.again"))


def test_a_new_folder_whose_name_was_not_synced_gets_a_neighbour_that_comes_and_goes(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(files, digest="f" * 64)
    study = files.root / "instances" / STUDY
    made: list[Path] = []
    other = arrival(SeriesInstanceUID="2.25.201").header

    def keep() -> None:
        file = files.incoming("a1")
        file.write(b"whole")
        try:
            file.keep(other, DIGEST)
        finally:
            file.discard()

    with monkeypatch.context() as patch:
        Refuses(patch, 3)  # the folder is made, its parent opened and synced
        with pytest.raises(OutOfResources):
            keep()
    mkdir = Path.mkdir

    def note(folder: Path, *arguments: Any, **named: Any) -> None:
        made.append(folder)
        mkdir(folder, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", note)
    keep()
    keep()
    assert made.count(study / ".again") == 1
    assert sorted(one.name for one in study.iterdir()) == [SERIES, "2.25.201"]


def test_a_folder_whose_sync_failed_gets_a_new_name_before_it_is_synced_again(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(files, digest="f" * 64)
    calls: list[str] = []
    file = files.incoming("a1")
    file.write(b"whole")
    with monkeypatch.context() as patch:
        Refuses(patch, 4)  # bytes, name, then the folder is opened and synced
        with pytest.raises(OutOfResources):
            file.keep(arrival().header, DIGEST)
    file.discard()
    for name in ("link", "fsync"):
        call = getattr(os, name)

        def noted(*arguments: Any, name: str = name, call: Any = call) -> None:
            calls.append(name)
            call(*arguments)

        monkeypatch.setattr(os, name, noted)
    kept(files)
    assert calls[-4:] == ["link", "link", "fsync", "fsync"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_disk_that_takes_no_more(
    files: FileStore, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    kept(files, b"earlier", "f" * 64)

    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"node.store.durable.os.{call}", fail)
    with pytest.raises(OutOfResources, match=os.strerror(number)):
        kept(files)
    monkeypatch.undo()
    assert list((files.root / "incoming" / "0").iterdir()) == []


def test_a_write_that_fails_leaves_the_old_content(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.root / kept(files, b"old")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("node.store.durable.os.fsync", fail)
    with pytest.raises(OutOfResources):
        kept(files, b"newer")
    assert path.read_bytes() == b"old"


def test_two_contents_under_one_uid_stand_beside_each_other(files: FileStore) -> None:
    first, second = kept(files, b"first", "a" * 64), kept(files, b"second", "b" * 64)
    assert first != second
    assert (files.root / first).read_bytes() == b"first"
    assert (files.root / second).read_bytes() == b"second"


def test_the_same_content_again_leaves_the_first_file(files: FileStore, synced: Synced) -> None:
    path = files.root / kept(files, b"whole")
    first = path.stat().st_ino
    synced.seen.clear()
    kept(files, b"whole")
    assert path.stat().st_ino == first
    # whoever linked it may not have synced it yet
    assert [what for what, _ in synced.seen].count("file") == 2


def test_a_reader_never_sees_half_a_file(files: FileStore) -> None:
    file = files.incoming("a1")
    file.write(b"half")
    assert list((files.root / "instances").rglob("*.dcm")) == []
    file.write(b" and half")
    path = files.root / file.keep(arrival().header, DIGEST)
    assert path.read_bytes() == b"half and half"


def test_a_file_that_was_not_taken_is_gone(files: FileStore) -> None:
    file = files.incoming("a1")
    file.write(b"half")
    file.discard()
    file.discard()
    assert list(files.root.rglob("a1.*")) == []


def test_a_result_of_ours_that_comes_back_is_not_kept_twice(files: FileStore) -> None:
    file = files.incoming("a1")
    file.write(b"ours")
    path = files.root / file.keep(arrival().header, DIGEST)
    file.withdraw()
    assert not path.exists()
    assert list(files.root.rglob("a1.*")) == []


def test_a_file_of_somebody_else_is_never_withdrawn(files: FileStore) -> None:
    path = files.root / kept(files)
    file = files.incoming("a2")
    file.write(b"whole")
    file.keep(arrival().header, DIGEST)
    file.withdraw()
    assert path.exists()


def test_a_start_up_finds_what_has_its_name_and_removes_what_has_none(files: FileStore) -> None:
    torn, named = files.incoming("a1"), files.incoming("a2")
    torn.write(b"half")
    named.write(b"whole")
    path = files.root / named.keep(arrival().header, DIGEST)
    later = FileStore(files.root)  # after a power cut
    ((association_id, found),) = later.left_over()
    assert association_id == "a2"
    with found.reading() as source:
        assert source.read() == b"whole"
    assert found.keep(arrival().header, DIGEST) == str(path.relative_to(files.root))
    found.settle()
    assert list(later.left_over()) == []
    assert [file.name for file in (files.root / "incoming" / "0").iterdir()] == []
    assert path.read_bytes() == b"whole"


def test_what_is_recorded_while_a_start_up_looks_is_no_matter(files: FileStore) -> None:
    names = []
    for number in (1, 2):
        file = files.incoming(f"a{number}")
        file.write(b"whole")
        file.keep(arrival(number).header, DIGEST)
        names.append(file.name)
    found = FileStore(files.root).left_over()
    assert next(found)[0] == "a1"
    (files.root / "incoming" / names[1]).unlink()
    assert list(found) == []


def test_an_earlier_life_that_is_still_at_work_keeps_what_it_receives(files: FileStore) -> None:
    files.begin()
    half = files.incoming("a1")
    half.write(b"half")
    later = FileStore(files.root)
    later.begin()
    assert list(later.left_over()) == []
    other = later.incoming("a2")
    assert (half.name.split("/")[0], other.name.split("/")[0]) == ("0", "0.1")
    half.seal("a1")
    other.write(b"half")
    later.end()
    last = FileStore(files.root)  # the first one is still at work
    last.begin()
    assert last.incoming("a3").name.startswith("0.1/")
    assert list(last.left_over()) == []
    assert not (files.root / "incoming" / other.name).exists()
    files.end()
    last.end()
    first = FileStore(files.root)
    first.begin()
    assert list(first.left_over()) == []
    assert PromisedFiles(files.root).waiting() == [half.name]
    first.end()


def test_ten_listeners_are_not_one(files: FileStore) -> None:
    FileStore(files.root, listener="10").incoming("a1").write(b"half")
    one = FileStore(files.root, listener="1")
    one.begin()
    assert list(one.left_over()) == []
    assert len(list((files.root / "incoming" / "10").iterdir())) == 1
    one.end()


def test_what_another_listener_receives_is_not_ours(files: FileStore) -> None:
    FileStore(files.root, listener="1").incoming("a1").write(b"half")
    assert list(files.left_over()) == []
    assert len(list((files.root / "incoming" / "1").iterdir())) == 1


def test_a_site_may_trade_durability_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fast").mkdir()
    fast = FileStore(tmp_path / "fast", durable=False)
    kept(fast, b"first")
    spy = Synced(fast.root, os.fsync)
    monkeypatch.setattr("node.store.durable.os.fsync", spy)
    kept(fast, b"second", "e" * 64)
    assert spy.seen == []


def test_results_of_a_claim_are_kept_and_discarded_together(files: FileStore) -> None:
    path = files.keep_result("2.25.9", "seg.dcm", b"seg")
    other = files.keep_result("2.25.10", "seg.dcm", b"other")
    assert path == files.result_path("2.25.9", "seg.dcm") == "results/2.25.9/seg.dcm"
    files.discard_results("2.25.9")
    files.discard_results("2.25.9")
    assert not (files.root / path).parent.exists()
    assert (files.root / other).read_bytes() == b"other"
    assert (files.root / files.keep_result("2.25.9", "seg.dcm", b"again")).read_bytes() == b"again"

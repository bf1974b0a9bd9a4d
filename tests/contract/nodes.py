"""A store with its files, filled by reception itself: what ledger, retention and races are held on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from node.core.job import Readiness
from node.core.ledger import Balance
from node.core.pictures import KEY_SLICES, OVERLAY, key_slice
from node.core.study import Outcome
from node.pipeline.receive import receive
from node.store.files import FileStore
from node.store.ledger import balance
from tests.contract.stores import Store, opened
from tests.unit.node.samples import arrival, result_set

RESULT = b"result"


@dataclass(kw_only=True)
class Node:
    """What a node keeps."""

    store: Store
    files: FileStore

    @classmethod
    @contextmanager
    def opened(cls, engine: str, folder: Path) -> Iterator[Self]:
        """Give an empty one."""
        with opened(engine, folder) as store:
            (folder / "files").mkdir()
            yield cls(store=store, files=FileStore(folder / "files"))

    def take(self, number: int, **attributes: Any) -> Outcome:
        """Receive an instance; what has its UID and another content is a conflict."""
        one = arrival(number, file=self.files.incoming("a1"), **attributes)
        return receive(one, self.store.intake, lambda *_: None)

    def published(self) -> None:
        """Let the series be read, and its results be on the disk and owed to two destinations."""
        (request,) = self.store.dispatch()
        self.store.jobs.prepared(request.job_id, Readiness.READY, {})
        made = result_set()
        for item in made.instances:
            self.files.keep_result("2.25.900", Path(item.path).name, RESULT)
        picture = self.files.keep_result("2.25.900", OVERLAY, b"picture")
        self.files.keep_result("2.25.900", key_slice(1), b"key slice")
        self.files.keep_result("2.25.900", KEY_SLICES, b"[]")
        answer = self.files.keep_result("2.25.900", "answer.npz", b"answer")
        digest = sha256(RESULT).hexdigest()
        instances = tuple(replace(item, digest=digest) for item in made.instances)
        published = replace(made, instances=instances, picture=picture, answer=answer)
        self.store.jobs.publish(self.store.claimed(), published)

    def confirmed(self) -> None:
        """Bring everything to its destinations."""
        self.store.deliver_all()

    def on_disk(self) -> set[str]:
        """Files of instances and results, those on their way in or out too."""
        root = self.files.root
        paths = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return paths - {"removals"}

    def folders(self) -> set[str]:
        """Folders of studies, series and claims."""
        root = self.files.root
        found = {path for path in root.rglob("*") if path.is_dir()}
        return {str(path.relative_to(root)) for path in found if path.parent != root} - {
            "incoming/0"
        }

    def balance(self, *, verify: bool = False) -> Balance:
        """Draw up the ledger, however young its files are."""
        return balance(self.store.database, self.files.root, verify=verify, young_s=-60)

    def assert_adds_up(self) -> None:
        """Everything that was acknowledged is there, byte for byte, and nothing else is."""
        assert [str(one) for one in self.balance(verify=True).differences] == []

"""Results that are ready and owed, without a modality or a model: files on the disk, rows in the store."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from integrations.report import Report
from node.core.identifiers import input_digest
from node.core.job import Claim, Readiness, ResultInstance, ResultSet
from node.pipeline.records import as_record
from tests.contract.stores import Store
from tests.unit.integrations.samples import report, write_instances

FIRST = 500_000
"""Numbers of instances begin here."""
ATTEMPTS = 20


def own_report(number: int, source_series_uid: str) -> Report:
    """Give the report of one result: of the sample's study and patient, and of a series of its own."""
    of = report()
    (source,) = of.source_series
    return replace(
        of,
        result_set_uid=f"2.25.77{number:06d}",
        source_series=(replace(source, series_instance_uid=source_series_uid),),
        issued=of.issued + timedelta(minutes=number),
    )


class Ready:
    """Publishes results.

    Parameters
    ----------
    store
        Where they are owed.
    root
        Folder of the node's files.
    profile
        Name of the form.
    """

    def __init__(self, store: Store, root: Path, profile: str = "generic-pacs") -> None:
        self._store = store
        self._root = root
        self._profile = profile
        self._made = 0
        self._received = FIRST

    def publish(self, destinations: tuple[str, ...], *, series: int | None = None) -> ResultSet:
        """Owe a result to destinations; one of the same `series` as before is its revision."""
        self._made += 1
        number = self._made
        series_uid = f"2.25.88{number if series is None else series:06d}"
        made = self._result(own_report(number, series_uid))
        self._store.jobs.publish(self._claimed(series_uid, destinations), made)
        return made

    def _claimed(self, series_uid: str, destinations: tuple[str, ...]) -> Claim:
        """Order a job that reads one more instance of a series, and claim it."""
        for _ in range(ATTEMPTS):
            self._received += 1
            self._store.receive(self._received, SeriesInstanceUID=series_uid)
            for one in self._store.close_all():
                digest = input_digest(one.instances)
                request = self._store.request(one, destinations=destinations, digest=digest)
                self._store.jobs.dispatch(one, [request], ())
                self._store.jobs.prepared(request.job_id, Readiness.READY, {})
            claim = self._store.jobs.claim()
            if claim is not None:
                return claim
        raise TimeoutError("a keeper that runs beside dispatched it each time")

    def _result(self, of: Report) -> ResultSet:
        folder = self._root / "results" / of.result_set_uid
        folder.mkdir(parents=True)
        instances = tuple(
            ResultInstance(
                sop_instance_uid=one.sop_instance_uid,
                sop_class_uid=one.sop_class_uid,
                series_instance_uid=one.series_instance_uid,
                transfer_syntax_uid=one.transfer_syntax_uid,
                kind="SEG" if place == 0 else "SR",
                path=str(one.path.relative_to(self._root)),
                digest=sha256(one.path.read_bytes()).hexdigest(),
            )
            for place, one in enumerate(write_instances(folder, of))
        )
        return ResultSet(
            result_set_id=of.result_set_uid,
            profile=self._profile,
            instances=instances,
            report=as_record(of),
            picture=None,
            seconds={},
            server="nobody",
        )

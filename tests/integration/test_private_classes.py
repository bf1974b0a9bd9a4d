"""Vendors' private SOP classes: taken where the site names them, and read where a rule names them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE

from node import bootstrap, settings
from node.clock import SystemClock
from node.dicom.listener import open_port
from node.pipeline.apart import Apart
from node.pipeline.dispatch import dispatch
from node.store import schema
from node.store.index import IntakeStore
from node.store.jobs import JobStore
from node.store.ledger import balance
from tests.contract.stores import Store
from tests.peers import wait_for
from tests.unit.node.samples import EVIDENCE, MR, dicom

CSA = "1.3.12.2.1107.5.9.1"
"""Siemens' CSA Non-Image Storage."""
REFUSED = 0x03
"""Abstract syntax not supported (PS3.8 Table 9-18)."""
B_VALUE = "0019,0c SIEMENS MR HEADER"
MODELS = Path(__file__).parents[1] / "acceptance" / "models"
NODE = f"""
[node]
data = "{{data}}"
[inference]
models = "{MODELS}"
[listener]
{{listener}}
[[peer]]
name = "modality"
roles = ["source"]
ae_title = "MODALITY"
[[rule]]
name = "heads"
model = "threshold-brain"
select = {{{{ "{B_VALUE}" = {{{{ min = 1000 }}}}{{select}} }}}}
"""


@dataclass(kw_only=True)
class Site:
    """A listener of this process, and its records."""

    configuration: settings.Settings
    port: int
    store: Store

    def associate(self, *classes: str) -> Any:
        ae = AE("MODALITY")
        for uid in classes:
            ae.add_requested_context(uid, ExplicitVRLittleEndian)
        return ae.associate("127.0.0.1", self.port, ae_title="OVERREAD")

    def wait_recorded(self, count: int) -> None:
        """Wait until so many instances are on record: that follows the answers."""
        wait_for(
            lambda: len(self.store.rows(schema.instance)) >= count,
            timeout_s=20,
            what=f"{count} instances on record",
        )


def start(folder: Path, listener: str, select: str) -> Iterator[Site]:
    file = folder / "overread.toml"
    file.write_text(NODE.format(data=folder / "data", listener=listener, select=select))
    configuration = settings.load(file, {})
    served = bootstrap.listener(configuration)
    listening = open_port("127.0.0.1", 0)
    served.start(listening)
    database = bootstrap.database(configuration)
    try:
        yield Site(
            configuration=configuration,
            port=listening.getsockname()[1],
            store=Store(database=database, open_another=lambda: database, folder=folder),
        )
    finally:
        served.drain()
        database.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    listener, select = request.param
    yield from start(tmp_path, listener, select)


def raw_data(number: int) -> Dataset:
    """Return a private object with a b-value in its creator's block."""
    dataset = dcmread(BytesIO(dicom(number, SOPClassUID=CSA)))
    dataset.add_new(0x00190011, "LO", "SIEMENS MR HEADER")
    dataset.add_new(0x0019110C, "IS", "1000")
    return dataset


def send(site: Site, numbers: Sequence[int]) -> None:
    assoc = site.associate(CSA)
    assert [assoc.send_c_store(raw_data(n)).Status for n in numbers] == [0] * len(numbers)
    assoc.release()


def route(site: Site) -> None:
    """Close what was sent, and let dispatch decide."""
    database = site.store.database
    intake = IntakeStore(database, "keeper")
    for series in intake.open_series():
        assert intake.close_series(series, EVIDENCE)
    routes = bootstrap.routes(site.configuration)
    dispatch(intake, JobStore(database, 60.0), routes, Apart(SystemClock()))


NAMED = f'sop_classes = ["{CSA}"]'


@pytest.mark.parametrize("site", [(NAMED, ""), (NAMED, f', SOPClassUID = "{CSA}"')], indirect=True)
def test_a_class_that_the_site_names_is_kept_and_read_only_by_a_rule_that_names_it(
    site: Site,
) -> None:
    send(site, range(16))
    site.wait_recorded(16)
    (series,) = site.store.rows(schema.series)
    assert series.facts["SOPClassUID"] == CSA
    assert series.facts[B_VALUE] == 1000
    files = bootstrap.files(site.configuration).root
    assert balance(site.store.database, files, young_s=-60).adds_up
    route(site)
    named = "SOPClassUID" in str(site.configuration.rule[0].select)
    assert len(site.store.rows(schema.job)) == named
    if not named:
        kept = site.store.one(schema.series).routing["rules"]["heads"]
        assert kept == [
            "does not match",
            "rule: SOPClassUID must be named, because it is private",
        ]


@pytest.mark.parametrize("site", [("", "")], indirect=True)
def test_a_class_that_nobody_names_is_refused_in_either_way(site: Site) -> None:
    """When the association is negotiated, and in a message that comes through another class's context."""
    assoc = site.associate(CSA, MR)
    assert [one.result for one in assoc.rejected_contexts] == [REFUSED]
    dataset = dicom(1, SOPClassUID=CSA)
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = CSA
    request.AffectedSOPInstanceUID = "2.25.3001"
    request.Priority = 2
    start = 144 + int.from_bytes(dataset[140:144], "little")
    request.DataSet = BytesIO(dataset[start:])
    (context,) = assoc.accepted_contexts
    assoc._reactor_checkpoint.clear()  # pynetdicom's own thread would take the answer
    assoc.dimse.send_msg(request, context.context_id)
    _, response = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    assert response.Status == 0x0122
    assert assoc.send_c_store(dcmread(BytesIO(dicom(2)))).Status == 0
    assoc.release()
    site.wait_recorded(1)
    assert [row.sop_class_uid for row in site.store.rows(schema.instance)] == [MR]

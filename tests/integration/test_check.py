"""`overread check` against real peers, and against ones that refuse each thing: what somebody must change."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from typer.testing import CliRunner

from inference.results.offered import offered
from inference.results.profile import PROFILES
from integrations import tls
from integrations.probe import Probe
from node import bootstrap
from node.cli.app import app
from node.settings import Settings
from tests.integration.feed import RIS, running_feed
from tests.peers import free_port
from tests.peers.certificates import Authority
from tests.peers.dcmqrscp import Dcmqrscp
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.refusing import AE_TITLE, running_refusing
from tests.peers.sekmet import MRN_SYSTEM, Sekmet, running_sekmet
from tests.peers.worklist import running_worklist

import_module("node.cli.main")  # registers every command
EVERYTHING = [uid for uid, _ in offered(PROFILES["generic-pacs"], saliency=True)]
SOURCE = {"name": "ct", "roles": ["source"], "ae_title": "CT", "archive": "pacs"}


def tried(
    folder: Path,
    peer: Mapping[str, Any],
    *others: Mapping[str, Any],
    write: bool = False,
    **more: Any,
) -> dict[str, Probe]:
    settings = Settings.model_validate({
        "node": {"data": folder},
        "peer": (peer, *others),
        **more,
    })
    probes: dict[str, Probe] = {}
    for attempt in bootstrap.trials(settings, settings.peer[0], write=write):
        probes |= {probe.name: probe for probe in attempt()}
    return probes


def passed(probes: Mapping[str, Probe]) -> dict[str, bool | None]:
    return {name: probe.passed for name, probe in probes.items()}


def archive(port: int, ae_title: str = AE_TITLE, **more: Any) -> dict[str, Any]:
    return {
        "name": "pacs",
        "roles": ["archive"],
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        **more,
    }


def ehr(server: Sekmet, **more: Any) -> dict[str, Any]:
    fhir = {"url": server.base_url, "identifier_systems": {"EXAMPLE": MRN_SYSTEM}, **more}
    return {"name": "ehr", "roles": ["ehr"], "fhir": fhir}


# --- archives


@pytest.mark.peers
def test_orthanc_takes_everything(tmp_path: Path, orthanc: Orthanc) -> None:
    probes = tried(tmp_path, archive(orthanc.dicom_port, orthanc.ae_title), SOURCE)
    assert passed(probes) == dict.fromkeys(
        ("C-ECHO", "storage of results", "storage commitment", "C-FIND", "C-MOVE"), True
    )


@pytest.mark.peers
def test_an_orthanc_that_takes_no_label_maps_is_given_another_form(tmp_path: Path) -> None:
    with running_orthanc(tmp_path / "orthanc", unknown_classes=False) as orthanc:
        peer = archive(orthanc.dicom_port, orthanc.ae_title, profile="labelmap")
        forms = tried(tmp_path, peer)["storage of results"]
    assert forms.passed is None
    assert "takes the form generic-pacs" in forms.said
    assert "accept storage of Label Map Segmentation Storage in RLE Lossless" in forms.change


@pytest.mark.peers
def test_what_is_written_to_orthanc_is_deleted_again(tmp_path: Path, orthanc: Orthanc) -> None:
    peer = archive(
        orthanc.dicom_port, orthanc.ae_title, withdrawal="delete", orthanc={"url": orthanc.url}
    )
    written = tried(tmp_path, peer, write=True)["write and withdraw"]
    assert written.passed, written
    assert "confirmed" in written.said
    assert orthanc.count() == 0


@pytest.mark.peers
def test_nothing_is_written_that_cannot_be_taken_back(tmp_path: Path, orthanc: Orthanc) -> None:
    probes = tried(tmp_path, archive(orthanc.dicom_port, orthanc.ae_title), write=True)
    assert probes["write and withdraw"].passed is None
    assert orthanc.count() == 0


def by_stow(server: Orthanc, path: str = "dicom-web", **more: Any) -> dict[str, Any]:
    table = {"url": f"{server.url}/{path}", "store": True}
    return {"name": "pacs", "roles": ["archive"], "dicomweb": table, **more}


@pytest.mark.peers
def test_an_archive_by_stow_is_tried_without_an_association(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    probes = tried(tmp_path, by_stow(orthanc))
    assert passed(probes) == {"STOW-RS": True, "QIDO-RS": True}
    assert orthanc.count() == 0
    wrong = tried(tmp_path, by_stow(orthanc, "dicomweb"))
    assert passed(wrong) == {"STOW-RS": False, "QIDO-RS": False}
    assert wrong["STOW-RS"].said.startswith("DICOMWEB-404")
    assert "/dicomweb/studies" in wrong["STOW-RS"].change


@pytest.mark.peers
def test_an_object_of_nobody_is_stored_and_taken_back_by_stow(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    delete: dict[str, Any] = {"withdrawal": "delete", "orthanc": {"url": orthanc.url}}
    probes = tried(tmp_path, by_stow(orthanc, **delete), write=True)
    assert probes["write and withdraw"].passed
    assert "stored (confirmed)" in probes["write and withdraw"].said
    assert orthanc.count() == 0


@pytest.mark.peers
def test_dcmqrscp_has_no_commitment(tmp_path: Path, dcmqrscp: Dcmqrscp) -> None:
    probes = tried(tmp_path, archive(dcmqrscp.port, dcmqrscp.ae_title), SOURCE)
    assert passed(probes) == {
        "C-ECHO": True,
        "storage of results": True,
        "storage commitment": None,
        "C-FIND": True,
        "C-MOVE": True,
    }
    assert "Storage Commitment Push Model" in probes["storage commitment"].change


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, bool | None], str, str]] = {
    "nothing": ({}, {}, "C-ECHO", ""),
    "echo": (
        {"without": [Verification]},
        {"C-ECHO": False},
        "C-ECHO",
        "offer the Verification service",
    ),
    "commitment": (
        {"without": [StorageCommitmentPushModel]},
        {"storage commitment": None},
        "storage commitment",
        "offer the Storage Commitment Push Model",
    ),
    "queries": (
        {"without": [StudyRootQueryRetrieveInformationModelFind]},
        {"C-FIND": False},
        "C-FIND",
        "offer C-FIND to OVERREAD",
    ),
    "answers": ({"find_status": 0xC001}, {"C-FIND": False}, "C-FIND", "offer C-FIND to OVERREAD"),
    "retrieval": (
        {"without": [StudyRootQueryRetrieveInformationModelMove]},
        {"C-MOVE": False},
        "C-MOVE",
        "offer C-MOVE",
    ),
    "reports": (
        {"storage": EVERYTHING[:1]},
        {"storage of results": False},
        "storage of results",
        "accept storage of Comprehensive 3D SR Storage in Explicit VR Little Endian from OVERREAD",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_archive_that_refuses_one_thing_is_told_that_thing(tmp_path: Path, what: str) -> None:
    options, differs, name, change = REFUSALS[what]
    with running_refusing(**{"storage": EVERYTHING, **options}) as port:
        probes = tried(tmp_path, archive(port), SOURCE)
    names = ("C-ECHO", "storage of results", "storage commitment", "C-FIND", "C-MOVE")
    assert passed(probes) == {**dict.fromkeys(names, True), **differs}
    assert change in probes[name].change
    assert bool(probes[name].change) == bool(change)


def test_an_archive_that_does_not_know_us_is_told_our_title(tmp_path: Path) -> None:
    with running_refusing(storage=EVERYTHING, knows=["SOMEBODY"]) as port:
        probes = tried(tmp_path, archive(port))
    assert set(passed(probes).values()) == {False}
    assert "register the AE title OVERREAD" in probes["C-ECHO"].change


def test_an_archive_that_is_not_there_is_to_be_started(tmp_path: Path) -> None:
    probes = tried(tmp_path, archive(free_port()))
    assert set(passed(probes).values()) == {False}
    assert "start REFUSING" in probes["C-ECHO"].change


# --- records


@pytest.mark.peers
def test_sekmet_has_everything(tmp_path: Path, sekmet: Sekmet) -> None:
    source = {"name": "ct", "roles": ["source"], "ae_title": "CT", "results_to": ["ehr"]}
    orders = {"source": "fhir", "peer": "ehr"}
    probes = tried(tmp_path, ehr(sekmet), source, write=True, orders=orders)
    names = ("metadata", "interactions", "transaction", "conditional create", "token", "read")
    assert passed(probes) == dict.fromkeys((*names, "write and withdraw"), True)
    (device,) = sekmet.search("Device", identifier="urn:overread:check|")[-1:]
    assert device["status"] == "entered-in-error"


@pytest.mark.peers
def test_a_token_that_the_server_does_not_know_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sekmet(tmp_path / "sekmet", token="right") as server:
        monkeypatch.setenv("EHR_TOKEN", "wrong")
        token = tried(tmp_path, ehr(server, token_env="EHR_TOKEN"))["token"]
        monkeypatch.setenv("EHR_TOKEN", "right")
        assert tried(tmp_path, ehr(server, token_env="EHR_TOKEN"))["token"].passed
    assert token.passed is False
    assert "a token or key that the server knows" in token.change


def test_a_record_that_is_not_there_is_to_be_started(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/fhir"
    probes = tried(tmp_path, {"name": "ehr", "roles": ["ehr"], "fhir": {"url": url}})
    assert passed(probes) == {"metadata": False, "read": False}
    assert f"start the service at {url}" in probes["metadata"].change


# --- orders


@pytest.mark.peers
def test_a_worklist_answers(tmp_path: Path) -> None:
    orders = {"source": "worklist", "peer": "ris"}
    peer = {"name": "ris", "roles": ["orders"], "ae_title": "RISMWL", "host": "127.0.0.1"}
    with running_worklist(tmp_path / "worklist") as server:
        probes = tried(tmp_path, {**peer, "port": server.port}, orders=orders)
    assert passed(probes) == {"C-ECHO": True, "worklist": True}
    with running_refusing(storage=EVERYTHING) as port:
        refused = tried(tmp_path, {**peer, "ae_title": AE_TITLE, "port": port}, orders=orders)
    assert passed(refused) == {"C-ECHO": True, "worklist": False}
    assert (
        "offer Modality Worklist Information Model - FIND to OVERREAD" in refused["worklist"].change
    )


def test_a_feed_without_its_role_is_told(tmp_path: Path) -> None:
    assert passed(tried(tmp_path, RIS)) == {"feed": False}
    assert passed(tried(tmp_path, RIS, hl7={"enabled": True})) == {"feed": None}


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.found("ca")
    for name in ("node", "ris"):
        made.issue(name)
    return made


def test_a_certificate_is_looked_at(tmp_path: Path, authority: Authority) -> None:
    now = datetime.now(UTC)
    with running_feed(tmp_path, tls=authority.table("node")) as port:
        address = tls.Address("127.0.0.1", port)
        context = authority.client("ris")
        version, soon = tls.probe(address, now, context=context)
        assert (version.passed, version.said) == (True, "TLSv1.3")
        assert (soon.passed, soon.change) == (False, "renew the certificate")
        _, long_before = tls.probe(address, now - timedelta(days=60), context=context)
        assert long_before.passed
        (stranger,) = tls.probe(address, now)
        assert (stranger.name, stranger.passed) == ("certificate", False)
    (gone,) = tls.probe(address, now, context=context)
    assert (gone.name, gone.passed) == ("TLS", False)
    with running_feed(tmp_path / "plain") as port:
        (plain,) = tls.probe(tls.Address("127.0.0.1", port), now, timeout_s=2)
    assert (plain.name, plain.passed) == ("TLS", False)


# --- the command


def test_the_command_fails_when_something_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "overread.toml"
    head = f'[node]\ndata = "{tmp_path}/data"\n[inference]\nserver = "in-process"\n'
    config.write_text(head)
    runner = CliRunner()
    sound = runner.invoke(app, ["check", "--config", str(config)])
    assert sound.exit_code == 0, sound.output
    assert "node, database and folder" in sound.output
    with running_refusing(storage=EVERYTHING, without=[Verification]) as port:
        peer = archive(port)
        lines = [f"{key} = {json.dumps(value)}" for key, value in peer.items()]
        config.write_text(head + "[[peer]]\n" + "\n".join(lines))
        said = runner.invoke(app, ["check", "--config", str(config)])
        listed = runner.invoke(app, ["check", "--json", "--config", str(config)])
    assert said.exit_code == listed.exit_code == 1
    assert "→ REFUSING: offer the Verification service" in said.output
    rows = json.loads(listed.output)
    (fault,) = (row for row in rows if row["passed"] is False)
    assert (fault["subject"], fault["name"]) == ("peer pacs", "C-ECHO")
    assert set(fault) == {"subject", "name", "passed", "said", "change"}

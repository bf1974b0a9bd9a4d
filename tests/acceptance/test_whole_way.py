"""One real head through real parts: DCMTK sends, Triton computes, Orthanc and SEKMET take what is found."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.acceptance.site import (
    HEAD,
    JPEG_LS,
    PATIENT,
    Plan,
    Site,
    peer_archive,
    peer_ehr,
    peer_source,
    running_site,
)
from tests.conformance import validators
from tests.peers import colin27
from tests.peers.dcmtk import Sent, storescu
from tests.peers.orthanc import Modality, Orthanc, running_orthanc
from tests.peers.sekmet import Sekmet, running_sekmet

pytestmark = [pytest.mark.peers, pytest.mark.slow]

QUIET_S = float(os.environ.get("OVERREAD_QUIET_S", "10"))
"""How long nothing more may happen after all has arrived and come back; continuous integration takes 60."""

IMAGES = len(list(HEAD.glob("*.dcm")))
DICE = 0.92
VOLUME = "118565006"
FORWARD_TO = "overread"
WRITTEN = ("DiagnosticReport", "Observation", "ImagingStudy", "Device", "Provenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A study that went the whole way, and where its results stand."""

    site: Site
    pacs: Orthanc
    ehr: Sekmet
    uid: str
    patient: str
    segmentation: Path
    report: Path

    @property
    def stored_report(self) -> Dataset:
        return dcmread(self.report)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """Send the head to the archive and to the node at once; the archive forwards all that it stores."""
    folder = tmp_path_factory.mktemp("way")
    with (
        running_orthanc(folder / "orthanc", forward_to=FORWARD_TO) as pacs,
        running_sekmet(folder / "sekmet") as ehr,
    ):
        patient = f"Patient/{ehr.create(PATIENT)['id']}"
        both = ["pacs", "ehr"]
        plan = Plan(
            peers=[
                peer_source(results_to=both),
                peer_archive("pacs", pacs.ae_title, pacs.dicom_port, results_to=both),
                peer_ehr(ehr.base_url),
            ]
        )
        with running_site(folder / "site", plan) as site:
            site.start("serve")
            pacs.register(Modality(name=FORWARD_TO, ae_title="OVERREAD", port=site.port))
            site.wait_listening()
            _send_to_both(site, pacs)
            site.wait_jobs("COMPLETED")
            site.wait_delivered(2)
            (uid,) = {str(row[0]) for row in site.rows("select study_instance_uid from study")}
            _stay_quiet(site, pacs)
            (segmentation,) = pacs.download(folder / "seg", modality="SEG")
            (report,) = pacs.download(folder / "sr", modality="SR")
            yield Way(
                site=site,
                pacs=pacs,
                ehr=ehr,
                uid=uid,
                patient=patient,
                segmentation=segmentation,
                report=report,
            )


def test_there_is_one_of_each_although_the_archive_sent_all_of_it_back(way: Way) -> None:
    assert way.site.jobs(way.uid) == ["COMPLETED"]
    assert way.site.deliveries(way.uid) == {
        "pacs": ("CONFIRMED", None),
        "ehr": ("CONFIRMED", None),
    }
    assert (way.pacs.count(modality="SEG"), way.pacs.count(modality="SR")) == (1, 1)
    assert way.ehr.counts("DiagnosticReport", "Provenance") == {
        "DiagnosticReport": 1,
        "Provenance": 1,
    }
    assert _journal(way.site) == {"stored": IMAGES, "duplicate": IMAGES, "own": 2}


def test_the_ledger_balances(way: Way) -> None:
    balance = way.site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stderr
    assert f"{2 * IMAGES + 2} acknowledged, {2 * IMAGES + 2} accounted for" in balance.stdout


def test_explain_tells_the_story(way: Way) -> None:
    told = way.site.explain(way.uid)
    for words in (
        f"{IMAGES} instances; association released, short quiet; no gap",
        "job brain-extraction 1.0.2: COMPLETED",
        "context: age, sex",
        "on Triton 2.51.0 (gRPC, system shared memory): read",
        "delivery to pacs: CONFIRMED",
        "delivery to ehr: CONFIRMED",
    ):
        assert words in told
    for secret in ("Colin", "OVR-000027", "19630704", "1963-07-04"):
        assert secret not in told


def test_the_mask_is_the_brain_where_dcmqi_reads_it(way: Way, tmp_path: Path) -> None:
    """Put the template's brain beside the mask, each placed by its own affine."""
    image = validators.segment_images(way.segmentation, tmp_path / "segments")[1]
    brain, ras = colin27.template("ch2bet")
    truth = brain > 0
    to_template = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ ras) @ image.affine
    found = np.argwhere(image.voxels > 0)
    places = np.rint(found @ to_template[:3, :3].T + to_template[:3, 3]).astype(int)
    inside = np.all((places >= 0) & (places < truth.shape), axis=1)
    common = np.count_nonzero(truth[tuple(places[inside].T)])
    dice = 2 * common / (len(found) + np.count_nonzero(truth))
    print(f"Dice {dice:.4f}")
    assert dice >= DICE


def test_validators_find_no_error_in_what_the_archive_gives_out(way: Way) -> None:
    assert validators.dciodvfy_errors(way.segmentation) == []
    assert validators.dciodvfy_errors(way.report) == []
    errors = validators.pixelmed_errors(way.report)
    assert [one for one in errors if not validators.taken_for_planar(one, way.stored_report)] == []


def test_fhirkit_finds_no_error_in_what_the_ehr_gives_out(way: Way) -> None:
    written = [one for kind in WRITTEN for one in way.ehr.search(kind)]
    assert {one["resourceType"] for one in written} == set(WRITTEN)
    for resource in written:
        assert validators.fhirkit_errors(resource) == [], resource["resourceType"]
    assert validators.loose_quantities(written) == []


def test_the_volume_is_the_same_everywhere(way: Way, tmp_path: Path) -> None:
    read = validators.tid1500(way.report, tmp_path)
    told = [
        float(item["value"])
        for group in read["Measurements"]
        for item in group["measurementItems"]
        if item["quantity"]["CodeValue"] == VOLUME
    ]
    observed = [
        one["valueQuantity"]
        for one in way.ehr.search("Observation", subject=way.patient)
        if VOLUME in [coding["code"] for coding in one["code"]["coding"]]
    ]
    print(f"{told} mL")
    assert len(told) == len(observed) == 1
    assert (observed[0]["value"], observed[0]["code"]) == (told[0], "mL")
    (row,) = way.site.rows("select json_extract(report, '$.conclusion') from result_set")
    assert f"volume {told[0]:.1f} " in row[0]
    assert told[0] == pytest.approx(1950, rel=0.05)


def test_age_and_sex_stand_in_the_report_and_in_the_jobs_record(way: Way) -> None:
    values = dict(_leaves(way.stored_report))
    years = values["121033"]
    assert years.MeasuredValueSequence[0].NumericValue == 63
    assert values["121032"].ConceptCodeSequence[0].CodeValue == "M"
    question = (
        "select json_extract(context, '$.values.age.value'), "
        "json_extract(context, '$.values.sex.value'), "
        "json_extract(context, '$.values.age.source') from job"
    )
    ((age, sex, source),) = way.site.rows(question)
    assert (age, sex) == ("63", "M")
    assert source.startswith(f"{way.patient}/_history/")


def _send_to_both(site: Site, pacs: Orthanc) -> None:
    sent: dict[str, Sent] = {}

    def to_archive() -> None:
        sent["archive"] = storescu(
            HEAD, port=pacs.dicom_port, called=pacs.ae_title, transfer_syntax_uid=JPEG_LS
        )

    beside = threading.Thread(target=to_archive)
    beside.start()
    sent["node"] = storescu(HEAD, port=site.port, transfer_syntax_uid=JPEG_LS)
    beside.join()
    for one in sent.values():
        assert one.returncode == 0, one.output[-2000:]


def _stay_quiet(site: Site, pacs: Orthanc) -> None:
    """Wait for everything to have come back, and then for `QUIET_S` in which nothing may happen."""
    site.wait(lambda: sum(_journal(site).values()) >= 2 * IMAGES + 2, "all that is sent back")
    end = time.monotonic() + QUIET_S
    while time.monotonic() < end:
        state: tuple[Any, ...] = (
            site.rows("select count(*) from job")[0][0],
            pacs.count(),
            sum(_journal(site).values()),
        )
        assert state == (1, IMAGES + 2, 2 * IMAGES + 2)
        time.sleep(1)


def _journal(site: Site) -> dict[str, int]:
    return dict(site.rows("select outcome, count(*) from journal group by outcome"))


def _leaves(item: Dataset) -> Iterator[tuple[str, Dataset]]:
    for child in item.get("ContentSequence", []):
        named = child.get("ConceptNameCodeSequence")  # an image of the library has none
        yield str(named[0].CodeValue) if named else "", child
        yield from _leaves(child)

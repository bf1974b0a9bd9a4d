"""Witness (d) end to end: a modality says what it has made, sends all but one, and then that one."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from integrations.pacs.peer import keep_answers
from tests.acceptance.site import SMALL_MODELS, Plan, Site, peer_source, running_site
from tests.acceptance.studies import SLICES, small_study
from tests.peers import free_port

QUIET_S = 1.0
WATCHED_S = 4 * QUIET_S

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def plan() -> Plan:
    modality = peer_source(
        results_to=[],
        quiet_short_s=QUIET_S,
        quiet_long_s=90.0,
        host="127.0.0.1",
        port=free_port(),
    )
    return Plan(
        peers=[modality],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={
            "commitment": {"enabled": True},
            "inference": {"models": str(SMALL_MODELS), "server": "in-process"},
        },
    )


@contextmanager
def association(site: Site, sop_class: str) -> Iterator[Any]:
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(sop_class)
    opened = entity.associate("127.0.0.1", site.port, ae_title="OVERREAD")
    assert opened.is_established
    keep_answers(opened)
    yield opened
    opened.release()


def send(site: Site, instances: Sequence[Dataset]) -> None:
    with association(site, MRImageStorage) as opened:
        for instance in instances:
            assert opened.send_c_store(instance).Status == 0


def references(instances: Sequence[Dataset]) -> list[Dataset]:
    items = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = instance.SOPClassUID
        item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
        items.append(item)
    return items


def by_commitment(site: Site, instances: Sequence[Dataset]) -> None:
    asked = Dataset()
    asked.TransactionUID = "2.25.9"
    asked.ReferencedSOPSequence = references(instances)
    with association(site, StorageCommitmentPushModel) as opened:
        status, _ = opened.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert status.Status == 0


def by_mpps(site: Site, instances: Sequence[Dataset]) -> None:
    scheduled, begun, performed, done = Dataset(), Dataset(), Dataset(), Dataset()
    scheduled.StudyInstanceUID = instances[0].StudyInstanceUID
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    begun.ScheduledStepAttributesSequence = [scheduled]
    begun.PerformedSeriesSequence = []
    performed.SeriesInstanceUID = instances[0].SeriesInstanceUID
    performed.ReferencedImageSequence = references(instances)
    done.PerformedProcedureStepStatus = "COMPLETED"
    done.PerformedSeriesSequence = [performed]
    with association(site, ModalityPerformedProcedureStep) as opened:
        created, _ = opened.send_n_create(begun, ModalityPerformedProcedureStep, "2.25.7")
        completed, _ = opened.send_n_set(done, ModalityPerformedProcedureStep, "2.25.7")
        assert (created.Status, completed.Status) == (0, 0)


def by_ian(site: Site, instances: Sequence[Dataset]) -> None:
    series, told = Dataset(), Dataset()
    series.SeriesInstanceUID = instances[0].SeriesInstanceUID
    series.ReferencedSOPSequence = references(instances)
    for item in series.ReferencedSOPSequence:
        item.InstanceAvailability = "ONLINE"
    told.StudyInstanceUID = instances[0].StudyInstanceUID
    told.ReferencedSeriesSequence = [series]
    with association(site, InstanceAvailabilityNotification) as opened:
        status, _ = opened.send_n_create(told, InstanceAvailabilityNotification, "2.25.8")
        assert status.Status == 0


@pytest.mark.long
@pytest.mark.parametrize("announce", [by_commitment, by_mpps, by_ian])
def test_what_is_announced_is_waited_for(
    tmp_path: Path, announce: Callable[[Site, Sequence[Dataset]], None]
) -> None:
    study = small_study(tmp_path / "study", 1)
    instances = [dcmread(file) for file in sorted(study.folder.glob("*.dcm"))]
    with (
        running_site(tmp_path / "site", plan()) as site,
        site.running(("listener",), ("keeper",)),
    ):
        site.wait_listening()
        announce(site, instances)
        send(site, instances[:-1])
        site.wait_recorded(len(instances) - 1)
        end = time.monotonic() + WATCHED_S
        while time.monotonic() < end:  # without the list it would be closed after a quarter of it
            assert site.rows("select state from series") == [("OPEN",)]
            assert site.jobs(study.uid) == []
            time.sleep(0.1)
        send(site, instances[-1:])
        site.wait_jobs("SCHEDULED")
        ((record,),) = site.rows("select evidence from job")
        evidence = json.loads(record)
        assert evidence["witness"] == "announced-list"
        assert (evidence["instances"], evidence["expected"]) == (SLICES, SLICES)
        story = " ".join(site.explain(study.uid).split())
        assert f"{SLICES} of {SLICES}; equal to the announced list; no gap" in story

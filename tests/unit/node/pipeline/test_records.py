import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest

from integrations.report import (
    Coding,
    Quantity,
    Report,
    ReportedFinding,
    ReportedOrder,
    ReportedSeries,
    Score,
    UsedValue,
)
from node.pipeline.records import as_record, from_record
from tests.unit.integrations.samples import REPORT

Anything = TypeVar("Anything")
TEXTS = ("", "a", "Müller^Jürgen=王", '"\\\n', "OVR-1", "0", "null", "T", "2026-10-15T10:00:00")


class Chance:
    """Reports of every shape, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - shapes, not secrets

    def text(self) -> str:
        return self.random.choice(TEXTS)

    def maybe(self, make: Callable[[], str]) -> str | None:
        return make() if self.random.random() < 0.5 else None

    def coding(self) -> Coding:
        return Coding(self.text(), self.text(), self.text())

    def some(self, make: Callable[[], Anything]) -> tuple[Anything, ...]:
        return tuple(make() for _ in range(self.random.randrange(4)))

    def quantity(self) -> Quantity:
        return Quantity(
            concept=self.coding(),
            value="1502.30",
            unit=self.coding(),
            derivation=self.random.choice([None, self.coding()]),
            method=self.random.choice([None, self.coding()]),
        )

    def score(self) -> Score:
        calibrated = self.random.random() < 0.5
        return Score(concept=self.coding(), value="0.830", threshold="0.5", calibrated=calibrated)

    def finding(self) -> ReportedFinding:
        return ReportedFinding(
            tracking_uid=self.text(),
            label=self.text(),
            type=self.coding(),
            site=self.random.choice([None, self.coding()]),
            present=self.random.choice([True, False, None]),
            quantities=self.some(self.quantity),
            laterality=self.random.choice([None, self.coding()]),
            score=self.random.choice([None, self.score()]),
        )

    def used(self) -> UsedValue:
        return UsedValue(
            feature=self.text(),
            concept=self.coding(),
            value=self.text(),
            unit=self.random.choice([None, self.coding()]),
            source=self.text(),
            effective=self.maybe(self.text),
        )

    def series(self) -> ReportedSeries:
        return ReportedSeries(
            series_instance_uid=self.text(),
            modality=self.text(),
            description=self.maybe(self.text),
            sop_classes={self.text(): self.text() for _ in range(3)},
        )

    def moment(self) -> datetime:
        zone = timezone(timedelta(minutes=self.random.randrange(-720, 840)))
        seconds = self.random.uniform(0, 4e9)
        return datetime.fromtimestamp(seconds, tz=self.random.choice([UTC, zone]))

    def report(self) -> Report:
        patient = replace(
            REPORT.study.patient,
            issuer_of_patient_id=self.maybe(self.text),
            patient_name=self.text(),
            birth_date=self.random.choice([None, date(1900, 2, 28), date(2026, 10, 15)]),
            sex=self.maybe(lambda: "F"),
        )
        study = replace(
            REPORT.study,
            patient=patient,
            accession_number=self.maybe(self.text),
            started=self.random.choice([None, date(2026, 1, 1), self.moment()]),
            description=self.maybe(self.text),
            modalities=self.some(self.text),
        )
        return replace(
            REPORT,
            study=study,
            source_series=self.some(self.series),
            result_series=self.some(self.series),
            findings=self.some(self.finding),
            context=self.some(self.used),
            record_patient=self.maybe(self.text),
            issued=self.moment(),
            conclusion=self.text(),
            predecessors=self.some(self.text),
            page=self.random.choice([None, Path("results/2.25.1/key-slices.pdf")]),
            order=self.random.choice([None, self.order()]),
        )

    def order(self) -> ReportedOrder:
        return ReportedOrder(
            placer_order_number=self.text(),
            filler_order_number=self.text(),
            reason=self.text(),
        )


@pytest.mark.parametrize("seed", range(100))
def test_a_report_survives_the_store(seed: int) -> None:
    report = Chance(seed).report()
    stored = json.loads(json.dumps(as_record(report)))
    assert from_record(stored) == report


def test_a_record_is_plain() -> None:
    plain: Sequence[type] = (dict, list, str, int, float, bool, type(None))

    def check(value: object) -> None:
        assert type(value) in plain, value
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            for item in value.values():
                check(item)
        if isinstance(value, list):
            for item in value:
                check(item)

    check(as_record(REPORT))


def test_a_report_of_before_has_no_scores_no_predecessors_and_no_page() -> None:
    stored = as_record(REPORT)
    for name in ("predecessors", "page"):
        del stored[name]
    for finding in stored["findings"]:
        del finding["score"], finding["laterality"]
        for quantity in finding["quantities"]:
            del quantity["derivation"], quantity["method"]
    assert from_record(stored) == REPORT


def test_a_moment_keeps_its_offset() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    study = replace(REPORT.study, started=datetime(2026, 3, 29, 2, 30, tzinfo=zone))
    back = from_record(as_record(replace(REPORT, study=study)))
    assert isinstance(back.study.started, datetime)
    assert back.study.started.utcoffset() == timedelta(hours=5, minutes=30)

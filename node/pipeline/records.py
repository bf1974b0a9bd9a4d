"""A report as plain values for the store, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from integrations.report import (
    Coding,
    Model,
    PatientIdentity,
    Quantity,
    Report,
    ReportedFinding,
    ReportedOrder,
    ReportedSeries,
    Score,
    StudyIdentity,
    UsedValue,
)


def as_record(report: Report) -> dict[str, Any]:
    """Return a report in values that JSON knows; dates and times as ISO 8601, paths as they are."""
    plain: dict[str, Any] = _jsonable(asdict(report))
    return plain


def from_record(record: Mapping[str, Any]) -> Report:
    """Read what `as_record` wrote."""
    study = record["study"]
    return Report(
        result_set_uid=record["result_set_uid"],
        study=StudyIdentity(**{
            **study,
            "patient": _patient(study["patient"]),
            "started": _moment(study["started"]),
            "modalities": tuple(study["modalities"]),
        }),
        source_series=tuple(ReportedSeries(**series) for series in record["source_series"]),
        result_series=tuple(ReportedSeries(**series) for series in record["result_series"]),
        model=Model(**record["model"]),
        procedure=Coding(**record["procedure"]),
        findings=tuple(_finding(finding) for finding in record["findings"]),
        context=tuple(_used(value) for value in record["context"]),
        record_patient=record["record_patient"],
        issued=datetime.fromisoformat(record["issued"]),
        conclusion=record["conclusion"],
        predecessors=tuple(record.get("predecessors", ())),
        page=Path(record["page"]) if record.get("page") else None,
        order=ReportedOrder(**record["order"]) if record.get("order") else None,
    )


def _jsonable(value: Any) -> Any:
    match value:
        case dict():
            return {key: _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case date():
            return value.isoformat()
        case Path():
            return str(value)
        case _:
            return value


def _moment(text: str | None) -> date | datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _patient(record: Mapping[str, Any]) -> PatientIdentity:
    born = record["birth_date"]
    return PatientIdentity(**{**record, "birth_date": date.fromisoformat(born) if born else None})


def _finding(record: Mapping[str, Any]) -> ReportedFinding:
    score = record.get("score")
    return ReportedFinding(**{
        **record,
        "type": Coding(**record["type"]),
        "site": _coding(record["site"]),
        "laterality": _coding(record.get("laterality")),
        "quantities": tuple(_quantity(item) for item in record["quantities"]),
        "score": Score(**{**score, "concept": Coding(**score["concept"])}) if score else None,
    })


def _quantity(record: Mapping[str, Any]) -> Quantity:
    return Quantity(
        concept=Coding(**record["concept"]),
        value=record["value"],
        unit=Coding(**record["unit"]),
        derivation=_coding(record.get("derivation")),
        method=_coding(record.get("method")),
    )


def _coding(record: Mapping[str, str] | None) -> Coding | None:
    return Coding(**record) if record else None


def _used(record: Mapping[str, Any]) -> UsedValue:
    unit = record["unit"]
    return UsedValue(**{
        **record,
        "concept": Coding(**record["concept"]),
        "unit": Coding(**unit) if unit else None,
    })

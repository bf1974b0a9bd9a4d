"""What `overread explain` says of a study's routing: exclusions, rules, deadlines, what came late."""

from collections.abc import Iterator, Mapping
from typing import Any

from node.clock import at
from node.store.overview import Overview, Row

CHANGES = ("late images", "identity corrected", "identity differs", "archive corrects", "conflict")
"""Lines of the story about instances that are not as the first ones were."""


def routing_of(overview: Overview, study_instance_uid: str) -> dict[str, Any]:
    """Return what was decided about a study's series, by when it was expected, and what changed."""
    story = overview.story(study_instance_uid)
    return {
        "series": [_series(row) for row in overview.series(study_instance_uid)],
        "deadlines": [
            {key: value for key, value in row.items() if key != "study_instance_uid"}
            for row in overview.expectations(study_instance_uid)
        ],
        "changes": [row for row in story if row["what"] in CHANGES],
    }


def routing_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Say in lines what `routing_of` returns."""
    for series in told["series"]:
        name = f"series {series['series_instance_uid']}"
        if series["excluded"]:
            yield f"{name}: excluded, {series['excluded']['reason']}: {series['excluded']['why']}"
        for rule in series["rules"]:
            why = f" ({rule['why']})" if rule["why"] else ""
            yield f"{name}: rule {rule['rule']} {rule['turn']}{why}"
        if series["late"]:
            yield f"{name}: {series['late']} instances came late"
    for line in told["changes"]:
        yield f"{line['what']}: {line['detail']}"
    for deadline in told["deadlines"]:
        yield _deadline(deadline)


def _series(row: Row) -> dict[str, Any]:
    routing = row["routing"] or {}
    excluded = {"reason": row["excluded"], "why": routing.get("excluded", "")}
    return {
        "series_instance_uid": row["series_instance_uid"],
        "state": row["state"],
        "evidence": row["evidence"],
        "excluded": excluded if row["excluded"] else None,
        "rules": [
            {"rule": name, "turn": turn, "why": why}
            for name, (turn, why) in routing.get("rules", {}).items()
        ],
        "late": row["late"],
    }


def _deadline(row: Mapping[str, Any]) -> str:
    moment = at(row["deadline_at"]).strftime("%Y-%m-%d %H:%M:%S")
    who = f"deadline of rule {row['rule']} ({row['model']}), {moment}"
    match row["state"]:
        case "MISSED":
            return f"{who}: AI did not run, because {row['reason']}: {row['detail']}"
        case "OPEN":
            return f"{who}: not over yet"
        case state:
            return f"{who}: {state.lower()}"

"""The counts of the store in Prometheus' text format."""

from collections.abc import Mapping

from node.telemetry import MetricName

_SOURCES: tuple[tuple[MetricName, str, str, str], ...] = (
    ("overread_instances_received_total", "counter", "instances", "outcome"),
    ("overread_instances_unrecorded", "gauge", "unrecorded", "state"),
    ("overread_series", "gauge", "series", "state"),
    ("overread_jobs", "gauge", "jobs", "state"),
    ("overread_results", "gauge", "results", "state"),
    ("overread_deliveries", "gauge", "deliveries", "state"),
    ("overread_destination_owed", "gauge", "destination_owed", "destination"),
    ("overread_destination_parked", "gauge", "destination_parked", "destination"),
    ("overread_destination_open", "gauge", "destination_open", "destination"),
    ("overread_destination_oldest_seconds", "gauge", "destination_oldest", "destination"),
    ("overread_identity_checks", "gauge", "identity", "state"),
    ("overread_withdrawals", "gauge", "withdrawals", "state"),
    ("overread_series_excluded", "gauge", "excluded", "reason"),
    ("overread_deadlines_missed_total", "counter", "missed", "reason"),
    ("overread_late_instances_total", "counter", "late", "peer"),
    ("overread_corrections_total", "counter", "corrections", "peer"),
    ("overread_conflicts_total", "counter", "conflicts", "peer"),
    ("overread_retrievals", "gauge", "retrievals", "state"),
    ("overread_priors", "gauge", "priors", "state"),
    ("overread_outbox", "gauge", "outbox", "queue"),
    ("overread_announced_instances", "gauge", "announced", "kind"),
    ("overread_confirmations", "gauge", "confirmations", "state"),
    ("overread_commitments", "gauge", "commitments", "state"),
    ("overread_feed_messages", "gauge", "messages", "kind"),
    ("overread_orders", "gauge", "orders", "peer"),
    ("overread_order_questions", "gauge", "questions", "state"),
    ("overread_patient_merges", "gauge", "merges", "peer"),
    ("overread_expired_total", "counter", "expired", "kind"),
    ("overread_housekeeping_faults", "gauge", "faults", "work"),
    ("overread_housekeeping_finished_seconds", "gauge", "finished", "work"),
)


def exposition(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return `counts` (by table, then by label) as metrics."""
    lines: list[str] = []
    for name, kind, table, label in _SOURCES:
        lines.append(f"# TYPE {name} {kind}")
        lines += [f'{name}{{{label}="{key}"}} {count}' for key, count in counts[table].items()]
    return "\n".join(lines) + "\n"

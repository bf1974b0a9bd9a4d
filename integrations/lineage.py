"""What stays the same through the revisions of a report, and what does not.

A revision answers the same question with other images or another version of the model: the same study, the
same series, the same model by name. Whoever keeps reports under `report_uid` has one of them in several
versions, and whoever keeps them under the result set UID has one for each version.
"""

import uuid
from collections.abc import Iterator

from integrations.report import Quantity, Report, ReportedFinding


def derived_uid(*parts: str) -> str:
    """Derive a UID that stands for `parts`, the same at every call (PS3.5 B.2: UUID under 2.25)."""
    return f"2.25.{derived_uuid(*parts).int}"


def derived_uuid(*parts: str) -> uuid.UUID:
    """Derive a UUID that stands for `parts`, the same at every call (RFC 4122 4.3)."""
    return uuid.uuid5(uuid.NAMESPACE_OID, "|".join(parts))


def report_uid(report: Report) -> str:
    """Return the UID of a report through all its revisions."""
    series = (one.series_instance_uid for one in report.source_series)
    return derived_uid("report", report.study.study_instance_uid, *series, report.model.name)


def finding_key(report: Report, finding: ReportedFinding) -> str:
    """Return the UID of the statement that a finding is there, or is not, through all revisions."""
    return derived_uid(report_uid(report), finding.tracking_uid, "presence")


def quantity_key(report: Report, finding: ReportedFinding, quantity: Quantity, number: int) -> str:
    """Return the UID of a value of a finding through all revisions.

    Parameters
    ----------
    number
        Its place among the values of the same concept of the finding, from 1.
    """
    concept, derivation = quantity.concept, quantity.derivation
    kind = (concept.scheme, concept.value, "" if derivation is None else derivation.value)
    return derived_uid(report_uid(report), finding.tracking_uid, *kind, str(number))


def numbers_of(report: Report, finding: ReportedFinding) -> Iterator[tuple[Quantity, str]]:
    """Give every value of a finding with the UID that it keeps through all revisions."""
    seen: dict[str, int] = {}
    for one in finding.quantities:
        first = quantity_key(report, finding, one, 1)
        seen[first] = seen.get(first, 0) + 1
        yield one, quantity_key(report, finding, one, seen[first])


def version_of(report: Report, key: str) -> str:
    """Return the UID of what stands under a key in this very version of the report."""
    return derived_uid(report.result_set_uid, key)

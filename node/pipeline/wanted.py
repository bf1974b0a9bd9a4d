"""Whether a result is for a destination: by its model, its status, what was found and what was measured."""

from collections.abc import Sequence

from inference.selection import Facts, Selection, Value
from integrations.report import Report

Criteria = Sequence[Selection]


def unwanted(report: Report, takes: Criteria) -> str:
    """Return why a result is not for a destination, in words without a patient; empty when it is.

    Parameters
    ----------
    takes
        It is for it when all criteria of one of these hold; when there are none, it is.
    """
    if not takes:
        return ""
    facts = facts_of(report)
    failures = [one.failures(facts) for one in takes]
    return "" if not all(failures) else " - or ".join("; ".join(words) for words in failures)


def facts_of(report: Report) -> Facts:
    """Return what criteria are held against: `core.routing.RESULT_KEYS`, and what was measured."""
    facts: dict[str, Value] = {
        "Model": report.model.name,
        "Version": report.model.version,
        "ContentQualification": report.model.content_qualification,
    }
    for key, answer in (("Present", True), ("Absent", False), ("Undecided", None)):
        facts[key] = [one.label for one in report.findings if one.present is answer]
    measured = {
        f"{one.label}/{quantity.concept.meaning}": quantity.value
        for one in report.findings
        for quantity in one.quantities
    }
    return facts | measured

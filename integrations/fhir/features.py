"""Ask a server for the features that a card wants of a verified patient: each type once, then choose.

The server is asked narrowly (patient, codes, dates) and its answer is looked at again, because a lenient server
ignores what it does not understand: another patient's resource is no answer, whatever was asked.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from integrations.context import Question
from integrations.errors import Refused
from integrations.fhir.client import NOT_OFFERED, FhirClient
from integrations.fhir.elements import local, one, source, text
from integrations.fhir.kinds import KINDS, Kind
from integrations.fhir.patients import Found
from integrations.fhir.sensitivity import Denial, denied, is_labelled
from integrations.fhir.values import answer, covers
from integrations.fhir.wire import Resource
from integrations.report import UsedValue

CODES_AT_ONCE = 40
"""Codes in one search: more would make an URL that a proxy cuts off."""

PAGE = 200

WITHHELD = "WITHHELD"


@dataclass(slots=True, kw_only=True)
class Reading:
    """The reading of one patient's record for one study.

    Parameters
    ----------
    at
        The study's time.
    labels_allowed
        Sensitivity labels that the site allows.
    """

    client: FhirClient
    patient: Found
    at: date | datetime
    labels_allowed: Collection[str] = ()
    denial: Denial = field(default_factory=Denial)
    withheld: set[str] = field(default_factory=set)
    """What was not looked at."""
    _read: dict[str, list[Resource] | str] = field(default_factory=dict)

    def heed_consents(self) -> None:
        """Learn what the patient has denied.

        Raises
        ------
        Unavailable
            The server cannot be asked now.
        Refused
            The server does not allow it, although it keeps consents.
        """
        asked = {"patient": self._id, "status": "active"}
        try:
            consents = self.client.search("Consent", asked)
        except Refused as error:
            if error.reason not in NOT_OFFERED:
                raise
            return
        self.denial = denied([one for one in consents if self._is_ours(one, "patient")])

    def may_use(self, resource: Resource) -> bool:
        """Whether a resource is neither labelled nor denied; those that are get counted."""
        if is_labelled(resource, self.labels_allowed) or self.denial.forbids(resource):
            self.withheld.add(source(resource))
            return False
        return True

    def answers(self, questions: Mapping[str, Question]) -> dict[str, UsedValue | str]:
        """Give each feature's value, or the reason why it has none.

        Raises
        ------
        Unavailable
            The server cannot be asked now.
        """
        for kind in {question.resource for question in questions.values()} & KINDS.keys():
            same = [one for one in questions.values() if one.resource == kind]
            self._read[kind] = self._resources(kind, same)
        return {name: self._answer(name, question) for name, question in questions.items()}

    @property
    def _id(self) -> str:
        return text(self.patient.resource, "id")

    def _answer(self, name: str, question: Question) -> UsedValue | str:
        if question.resource == "ServiceRequest":
            return self._of_order(name, question)
        found = self._read.get(question.resource, "FEATURE-NOT-SUPPORTED")
        if isinstance(found, str):
            return found
        kind = KINDS[question.resource]
        asked = [one for one in found if _is_asked(one, kind, question)]
        usable = [one for one in asked if self.may_use(one)]
        if asked and not usable:
            return WITHHELD
        told = [one for one in usable if kind.is_fact(one)]
        timely = [one for one in told if self._is_timely(one, kind, question)]
        given = [answer(name, question, one) for one in _newest_first(timely, kind)]
        value = next((one for one in given if isinstance(one, UsedValue)), None)
        if value is not None:
            return value
        return str(given[0]) if given else ("NOT-IN-TIME" if told else "NOT-RECORDED")

    def _of_order(self, name: str, question: Question) -> UsedValue | str:
        order = self.patient.order
        if order is None:
            return "NO-ORDER"
        return answer(name, question, order) if self.may_use(order) else WITHHELD

    def _resources(self, resource_type: str, questions: Sequence[Question]) -> list[Resource] | str:
        """Read what may answer the questions of one type, or say why it cannot be."""
        if self.denial.everything or resource_type in self.denial.types:
            return "CONSENT-DENIED"
        kind = KINDS[resource_type]
        try:
            found = [
                one
                for parameters in self._searches(kind, questions)
                for one in self.client.search(resource_type, parameters)
            ]
        except Refused as error:
            return error.reason
        ours = {text(one, "id"): one for one in found if self._is_ours(one, kind.patient)}
        return list(ours.values())

    def _searches(self, kind: Kind, questions: Sequence[Question]) -> Iterator[dict[str, str]]:
        base = {"patient": self._id, "_count": str(PAGE)}
        if kind.dated_by is not None:
            base[kind.dated_by] = f"le{_day(self.at, 1)}"
            ages = [question.maximum_age_days for question in questions]
            known = [age for age in ages if age is not None]
            if len(known) == len(ages) and kind.dated_by == "date" and kind.searched_by:
                # one bound each: a parameter that is given twice is beyond some servers
                base["date"] = f"ge{_day(self.at, -max(known) - 1)}"
        if kind.searched_by is None:
            yield base
            return
        codes = dict.fromkeys(
            code for question in questions for code in (*question.codes, *question.panels)
        )
        written = [f"{_escaped(system)}|{_escaped(code)}" for system, code in codes]
        for first in range(0, len(written), CODES_AT_ONCE):
            yield {**base, kind.searched_by: ",".join(written[first : first + CODES_AT_ONCE])}

    def _is_ours(self, resource: Resource, element: str) -> bool:
        reference = text(one(resource, element), "reference")
        return local(reference, self.client.base_url) in self.patient.references

    def _is_timely(self, resource: Resource, kind: Kind, question: Question) -> bool:
        if question.resource == "Encounter":
            return covers(resource, self.at)
        known = kind.moments(resource)
        return (
            bool(known)
            and all(moment.is_before(self.at) for moment in known)
            and known[0].is_within(self.at, question.maximum_age_days)
        )


def _is_asked(resource: Resource, kind: Kind, question: Question) -> bool:
    return not question.codes or kind.has_code(resource, (*question.codes, *question.panels))


def _newest_first(resources: Iterable[Resource], kind: Kind) -> list[Resource]:
    def order(resource: Resource) -> datetime:
        moment = kind.moment(resource)
        return moment.order if moment is not None else datetime.min.replace(tzinfo=UTC)

    return sorted(resources, key=order, reverse=True)


def _day(at: date | datetime, days: float) -> date:
    day = at.date() if isinstance(at, datetime) else at
    return day + timedelta(days=days)


def _escaped(value: str) -> str:
    for mark in "\\,|$":
        value = value.replace(mark, "\\" + mark)
    return value

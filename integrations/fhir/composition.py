"""What is written of a report at one site, in the order of writing: what others refer to comes first."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from integrations.fhir import notices, resources, summary
from integrations.fhir.answers import WITHDRAWN, Held, objects
from integrations.fhir.coding import dicom_identifier, full_url
from integrations.fhir.observations import observations
from integrations.fhir.provenance import provenance, provenance_name
from integrations.fhir.wire import Resource
from integrations.lineage import derived_uid
from integrations.report import Report

OPTIONAL = frozenset({"ImagingStudy", "Device", "Provenance", "Task"})
"""What a site may not allow: then it is referred to by its identifier, or left out."""


class Kind(StrEnum):
    """What the result is to a record: the type of the resource that has all the others below it."""

    REPORT = "DiagnosticReport"
    DOCUMENT = "DocumentReference"


class Notice(StrEnum):
    """How a critical finding is told besides."""

    NONE = "none"
    FLAG = "flag"
    COMMUNICATION = "communication"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a site wants to have written.

    Parameters
    ----------
    kind
        The whole report, or a document alone.
    status
        Of the report: ``preliminary`` or ``partial``.
    page
        The page of the result is presented with the report.
    task
        A Task says that the analysis is done.
    leave_out
        Types that the site does not allow us to write.
    critical
        Labels or code values of findings that are critical where they are present.
    notice
        How those are told besides.
    """

    kind: Kind = Kind.REPORT
    status: str = "preliminary"
    page: bool = False
    task: bool = False
    leave_out: frozenset[str] = frozenset()
    critical: frozenset[str] = frozenset()
    notice: Notice = Notice.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One resource to be written.

    Parameters
    ----------
    name
        ``urn:uuid`` name by which others refer to it.
    held
        What stands there and is updated; None to create it, unless its first identifier is there.
    shared
        It is not ours alone: when it is there already it is left as it is.
    """

    name: str
    resource: Resource
    held: Held | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the record of a report before it is written.

    Parameters
    ----------
    head
        The report or document as it stands; None when there is none.
    former
        The same, unless it is this very version already: what this one takes the place of.
    study
        The ImagingStudy of the study, whoever wrote it.
    members
        The observations that it names.
    find
        Asks for one more resource by its first identifier.
    """

    head: Held | None
    former: Held | None
    study: Held | None
    members: Sequence[Held]
    find: Callable[[Resource], Held | None]

    def of(self, resource: Resource) -> Held | None:
        """Return the former version of a resource; None where there was nothing before."""
        if self.head is None:
            return None
        key = resource["identifier"][0]
        known = next((one for one in self.members if one.carries(key)), None)
        if known is not None or resource["resourceType"] == "Observation":
            return known
        return self.find(resource)


def composed(report: Report, wishes: Wishes, standing: Standing) -> list[Write]:
    """Return what is to be written, ready but for the references to what has no place yet.

    Raises
    ------
    Refused
        The page is not on the disk any more (``RESULT-FILE-GONE``).
    """
    results = [] if wishes.kind is Kind.DOCUMENT else observations(report, wishes.critical)
    if wishes.kind is Kind.DOCUMENT:
        head = summary.document_reference(report)
    else:
        head = summary.diagnostic_report(report, results, status=wishes.status, page=wishes.page)
    around = list(_around(report, wishes, head))
    shared, links = _shared(report, wishes, standing)
    # numbers before the findings whose members they are: one after the other each must find those it names
    ordered = sorted(results, key=lambda one: "hasMember" in one)
    own = [Write(name=_name(one), resource=one, held=standing.of(one)) for one in ordered]
    # before the report: who is cut off behind it does not look for them any more
    own += _taken_back(report, wishes, standing, own)
    own.append(Write(name=_name(head), resource=head, held=standing.head))
    own += [Write(name=_name(one), resource=one, held=standing.of(one)) for one in around]
    trail = provenance(report, [head, *results, *around], standing.former)
    if "Provenance" not in wishes.leave_out:
        own.append(Write(name=provenance_name(report), resource=trail))
    return [*shared, *(_with_links(one, links) for one in own)]


def _around(report: Report, wishes: Wishes, head: Resource) -> Iterator[Resource]:
    if wishes.task and "Task" not in wishes.leave_out:
        yield summary.task(report, head)
    if wishes.notice is Notice.NONE:
        return
    for wish, finding in notices.critical_findings(report, wishes.critical):
        if finding is not None and wishes.notice is Notice.FLAG:
            yield notices.flag(report, finding, wish)
        elif finding is not None:
            yield notices.communication(report, finding, wish, head)


def _shared(
    report: Report, wishes: Wishes, standing: Standing
) -> tuple[list[Write], dict[str, Resource]]:
    """Return what is not ours alone and is to be written, and how to refer to what is not."""
    model, study = report.model, report.study
    writes: list[Write] = []
    links: dict[str, Resource] = {}
    for resource_type, uid, told in (
        ("Device", model.device_uid, f"{model.name} {model.version}"),
        ("ImagingStudy", study.study_instance_uid, None),
    ):
        identifier = dicom_identifier(uid)
        name = full_url(identifier)
        if resource_type == "ImagingStudy" and standing.study is not None:
            links[name] = {"reference": standing.study.reference}
        elif resource_type in wishes.leave_out:
            logical = {"type": resource_type, "identifier": identifier}
            links[name] = {**logical, "display": told} if told else logical
        else:
            make = resources.device if resource_type == "Device" else resources.imaging_study
            writes.append(Write(name=name, resource=make(report), shared=True))
    return writes, links


def _taken_back(
    report: Report, wishes: Wishes, standing: Standing, own: Sequence[Write]
) -> Iterator[Write]:
    """Mark what the former version said and this one does not say any more."""
    if standing.former is None:
        return
    kept = {one.held.reference for one in own if one.held is not None}
    versions = {uid_of(one) for one in objects(standing.former.resource.get("identifier"))}
    former = [one for one in standing.members if lasting_uids(one.resource, versions)]
    if wishes.notice is not Notice.NONE:
        for wish, finding in notices.critical_findings(report, wishes.critical):
            if finding is None:
                identifier = [dicom_identifier(notices.notice_key(report, wish))]
                kind = "Flag" if wishes.notice is Notice.FLAG else "Communication"
                found = standing.find({"resourceType": kind, "identifier": identifier})
                former += [found] if found is not None else []
    for one in former:
        if one.reference not in kept and not one.withdrawn:
            lasting = lasting_uids(one.resource, versions)
            name = full_url({"value": one.reference})
            yield Write(name=name, resource=marked(one.resource, lasting), held=one)


def marked(resource: Resource, lasting: Set[str]) -> Resource:
    """Return a resource of ours as entered in error: who looks for a standing one does not find it any more.

    Parameters
    ----------
    lasting
        UIDs that last through the revisions: they go, so that a result that is written later is a resource of
        its own; that of its version stays.
    """
    others = [one for one in resource.get("identifier", []) if uid_of(one) not in lasting]
    without = {name: value for name, value in resource.items() if name != "identifier"}
    return {**without, **({"identifier": others} if others else {}), "status": WITHDRAWN}


def lasting_uids(resource: Resource, versions: Set[str]) -> frozenset[str]:
    """Return the UIDs of a resource that last through revisions; empty when it is of none of these versions.

    Parameters
    ----------
    versions
        Result set UIDs.
    """
    uids = {uid_of(one) for one in objects(resource.get("identifier"))}
    return frozenset(
        key for key in uids if any(derived_uid(version, key) in uids for version in versions)
    )


def uid_of(identifier: Resource) -> str:
    """Return the DICOM UID in an identifier."""
    return str(identifier.get("value", "")).removeprefix("urn:oid:")


def _name(resource: Resource) -> str:
    return str(resources.reference_to(resource)["reference"])


def _with_links(write: Write, links: dict[str, Resource]) -> Write:
    bound = resources.linked(write.resource, links)
    if not isinstance(bound, dict):  # a resource is an object, whatever is put in it
        raise TypeError("a resource is no object")
    return Write(name=write.name, resource=bound, held=write.held, shared=write.shared)

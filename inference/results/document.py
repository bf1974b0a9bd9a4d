"""What every document of structured content has around its tree: reports, key objects, notices.

The tree itself is `content`; this is the data set that carries it (PS3.3 A.35).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from inference.card import Card
from inference.codes import Code
from inference.findings import Compared
from inference.results.concepts import coded
from inference.results.content import Item, sequence_of
from inference.results.headers import decoded, dress, identity, series_number, series_uid
from inference.results.objects import Kind, Predecessor, ResultObject, ResultRequest
from inference.results.part10 import finished, unnamed

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A tree and what its object says of it.

    Parameters
    ----------
    kind
        Which of our objects it is.
    sop_class_uid
        Of which class.
    title
        Concept name of the root.
    template
        Template Identifier of the root (PS3.16); None for none.
    children
        The items below the root.
    evidence
        The instances that it stands on, all of the study.
    pertinent
        Series of other studies that it stands on too.
    description
        Series Description (0008,103E); None for that of a result.
    """

    kind: Kind
    sop_class_uid: str
    title: Code
    template: str | None
    children: tuple[Item, ...]
    evidence: Sequence[Dataset]
    pertinent: Sequence[Compared] = ()
    description: str | None = None


def written(
    document: Document, header: Dataset, card: Card, request: ResultRequest
) -> ResultObject:
    """Return a document as an object of the study.

    Parameters
    ----------
    header
        The header of one of its source's instances: patient and study are those.
    """
    source = identity(header)
    dataset = unnamed(document.sop_class_uid)
    dataset.SeriesInstanceUID = series_uid(header, card, document.kind, request)
    dataset.SeriesNumber = series_number(request, document.kind)
    dataset.InstanceNumber = 1
    dataset.ReferencedPerformedProcedureStepSequence = []
    _entitle(dataset, document)
    if document.evidence:
        dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(document.evidence)]
    if document.pertinent:
        dataset.PertinentOtherEvidenceSequence = [_of_other(one) for one in document.pertinent]
    requests = _requests(header, source)
    if requests:
        dataset.ReferencedRequestSequence = requests
    if document.kind is Kind.KO:
        dataset.Modality = "KO"
    else:
        _say_standing(dataset, request.predecessors)
    dress(dataset, source, card, request, document.kind, schemes=_schemes(document))
    if document.description is not None:
        dataset.SeriesDescription = document.description
    tree = sequence_of(document.children)
    return finished(document.kind, dataset, uid_root=request.uid_root, tail=tree)


def _entitle(dataset: Dataset, document: Document) -> None:
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = [coded(document.title)]
    dataset.ContinuityOfContent = "SEPARATE"
    if document.template is not None:
        template = Dataset()
        template.MappingResource = "DCMR"
        template.TemplateIdentifier = document.template
        dataset.ContentTemplateSequence = [template]


def _say_standing(dataset: Dataset, predecessors: Sequence[Predecessor]) -> None:
    """Say that a machine made it and nobody looked, and what it takes the place of (PS3.3 C.17.2)."""
    dataset.Modality = "SR"
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.PerformedProcedureCodeSequence = []
    if predecessors:
        dataset.PredecessorDocumentsSequence = [_predecessor(one) for one in predecessors]


def _schemes(document: Document) -> set[str]:
    used = {document.title.scheme}
    for child in document.children:
        used.update(child.schemes())
    return used


def _evidence(instances: Sequence[Dataset]) -> Dataset:
    """Return the instances by series, as one item of an evidence sequence (PS3.3 C.17.2.3)."""
    by_series: dict[str, list[Dataset]] = {}
    for instance in instances:
        reference = _reference(str(instance.SOPClassUID), str(instance.SOPInstanceUID))
        by_series.setdefault(str(instance.SeriesInstanceUID), []).append(reference)
    return _study(str(instances[0].StudyInstanceUID), by_series)


def _of_other(one: Compared) -> Dataset:
    references = [_reference(of, uid) for uid, of in one.sop_classes.items()]
    return _study(one.study_instance_uid, {one.series_instance_uid: references})


def _predecessor(one: Predecessor) -> Dataset:
    reference = _reference(one.sop_class_uid, one.sop_instance_uid)
    return _study(one.study_instance_uid, {one.series_instance_uid: [reference]})


def _study(study_instance_uid: str, by_series: dict[str, list[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = [
        _series(series_instance_uid, references)
        for series_instance_uid, references in by_series.items()
    ]
    return study


def _series(series_instance_uid: str, references: Iterable[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series.ReferencedSOPSequence = list(references)
    return series


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    return reference


def _requests(header: Dataset, source: Dataset) -> list[Dataset]:
    """Return Referenced Request Sequence (0040,A370) when the accession is known (PS3.3 C.17.2)."""
    if not source.AccessionNumber:
        return []
    ordered = decoded(header, ["RequestAttributesSequence"]).get("RequestAttributesSequence") or []
    order = ordered[0] if len(ordered) == 1 else Dataset()
    request = decoded(source, ["StudyInstanceUID", "AccessionNumber"])
    if "IssuerOfAccessionNumberSequence" in source:
        request.IssuerOfAccessionNumberSequence = source.IssuerOfAccessionNumberSequence
    request.ReferencedStudySequence = []
    request.PlacerOrderNumberImagingServiceRequest = ""
    request.FillerOrderNumberImagingServiceRequest = ""
    request.RequestedProcedureID = order.get("RequestedProcedureID", "")
    request.RequestedProcedureDescription = order.get("RequestedProcedureDescription", "")
    request.RequestedProcedureCodeSequence = order.get("RequestedProcedureCodeSequence") or []
    return [request]

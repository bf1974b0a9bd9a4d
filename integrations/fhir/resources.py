"""A report as FHIR R4 resources: pure functions, the same bytes at every call.

Every resource is held against its `fhir.resources` model before it leaves (R4B, which is R4 for these
types), but sent as it was built: the model's own output loses the digits of decimals. References between
them are the ``urn:uuid`` names of one transaction bundle.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from fhir.resources.R4B import get_fhir_model_class

from integrations.fhir.coding import (
    ABSENT,
    ACCESSION,
    AI_ASSERTED,
    AI_DEVICE,
    AUTHOR,
    CREATE,
    FINDING,
    IMAGING,
    INDETERMINATE,
    PRESENT,
    RADIOLOGY,
    UCUM,
    UID_SYSTEM,
    codeable_concept,
    date_time,
    derived_uid,
    dicom_identifier,
    fhir_coding,
    full_url,
    instant,
    ucum_code,
)
from integrations.fhir.wire import Resource
from integrations.report import Coding, Quantity, Report, ReportedFinding, ReportedSeries

RESEARCH = "RESEARCH"

_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?")
"""A literal reference within the server; other sources (``DICOM header``) are only told."""


def imaging_study(report: Report) -> Resource:
    """Describe the study, its series that were read and those that we made.

    Counts of the whole study are left out: we may have been sent a part of it. Its tag tells one that we
    wrote from one that was there before.
    """
    study = report.study
    identifiers = [dicom_identifier(study.study_instance_uid)]
    if study.accession_number:
        number = {"type": {"coding": [ACCESSION]}, "value": study.accession_number}
        identifiers.append(number)
    resource: Resource = {
        "resourceType": "ImagingStudy",
        "meta": {"tag": [_written_by(report)]},
        "identifier": identifiers,
        "status": "available",
        "modality": [fhir_coding(Coding(one, "DCM", one)) for one in study.modalities],
        "subject": {"reference": report.record_patient},
        "started": None if study.started is None else date_time(study.started),
        "description": study.description,
        "series": [
            *(_series(one, listed=False) for one in report.source_series),
            *(_series(one, listed=True) for one in report.result_series),
        ],
    }
    return checked(_known(resource))


def is_tagged(study: Resource) -> bool:
    """Whether we wrote an ImagingStudy: it carries the Device UID of a model."""
    return any(tag.get("system") == UID_SYSTEM for tag in study.get("meta", {}).get("tag", []))


def device(report: Report) -> Resource:
    """Describe the model: one Device for each of its versions (IHE RAD AIR 6.5.3.1)."""
    model = report.model
    return checked({
        "resourceType": "Device",
        "identifier": [dicom_identifier(model.device_uid)],
        "status": "active",
        "manufacturer": model.manufacturer,
        "deviceName": [{"name": model.name, "type": "user-friendly-name"}],
        "type": {"coding": [AI_DEVICE], "text": "AI model for medical images"},
        "version": [
            {"type": {"text": "model version"}, "value": model.version},
            {"type": {"text": "digest of the weights"}, "value": model.weights_digest},
        ],
        "note": [{"text": f"Content Qualification (0018,9004): {model.content_qualification}"}],
    })


def observations(report: Report) -> list[Resource]:
    """One Observation for each quantity, or for the presence of a finding that has none."""
    found: list[Resource] = []
    for finding in report.findings:
        if finding.present and finding.quantities:
            found += [
                _quantity_observation(report, finding, one, number)
                for number, one in enumerate(finding.quantities, start=1)
            ]
        else:
            found.append(_presence_observation(report, finding))
    return found


def diagnostic_report(report: Report, results: Sequence[Resource]) -> Resource:
    """Bind the observations into one preliminary report (FHIR R4 DiagnosticReport.status)."""
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": [report_identifier(report)],
        "status": "preliminary",
        "category": [{"coding": [RADIOLOGY]}],
        "code": codeable_concept(report.procedure),
        "subject": {"reference": report.record_patient},
        **_effective(report),
        "issued": instant(report.issued),
        "result": [reference_to(one) for one in results],
        "imagingStudy": [_study_reference(report)],
        "conclusion": _conclusion(report),
    }
    return checked(_known(resource))


def provenance(report: Report, targets: Sequence[Resource]) -> Resource:
    """Say who made the targets, from which images and from which values of the record."""
    sources = [{"role": "source", "what": _study_reference(report)}]
    for value in report.context:
        unit = f" {value.unit.value}" if value.unit is not None else ""
        what = {"display": f"{value.concept.meaning}: {value.value}{unit}"}
        if _REFERENCE.fullmatch(value.source):
            what = {"reference": value.source, **what}
        sources.append({"role": "source", "what": what})
    return checked({
        "resourceType": "Provenance",
        "target": [reference_to(one) for one in targets],
        "occurredDateTime": instant(report.issued),
        "recorded": instant(report.issued),
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": {"coding": [CREATE]},
        "agent": [
            {
                "type": {"coding": [AUTHOR]},
                "role": [{"coding": [AI_DEVICE], "text": "AI model"}],
                "who": {"reference": full_url(dicom_identifier(report.model.device_uid))},
            }
        ],
        "entity": sources,
    })


def report_identifier(report: Report) -> Resource:
    """Identify the DiagnosticReport by its result set: whoever finds it need not write it again."""
    return dicom_identifier(report.result_set_uid)


def reference_to(resource: Resource) -> Resource:
    """Refer to a resource of the same bundle by its first identifier."""
    return {"reference": full_url(resource["identifier"][0])}


def checked(resource: Resource) -> Resource:
    """Give the resource back when its model accepts it.

    Raises
    ------
    ValueError
        It is not a valid resource: a mistake of ours.
    """
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def _quantity_observation(
    report: Report, finding: ReportedFinding, quantity: Quantity, number: int
) -> Resource:
    concept = quantity.concept
    # Values of one finding share its tracking UID, so that alone identifies none of them.
    uid = derived_uid(
        report.result_set_uid, finding.tracking_uid, concept.scheme, concept.value, str(number)
    )
    code = codeable_concept(concept, text=f"{finding.label}: {concept.meaning}")
    value = {
        "value": Decimal(quantity.value),
        "unit": ucum_code(quantity.unit),
        "system": UCUM,
        "code": ucum_code(quantity.unit),
    }
    finding_type = {
        "code": codeable_concept(FINDING),
        "valueCodeableConcept": codeable_concept(finding.type),
    }
    parts = {"valueQuantity": value, "component": [finding_type]}
    return _observation(report, finding, uid, {"code": code, **parts})


def _presence_observation(report: Report, finding: ReportedFinding) -> Resource:
    uid = derived_uid(report.result_set_uid, finding.tracking_uid, "presence")
    code = codeable_concept(finding.type, text=finding.label)
    presences = {True: PRESENT, False: ABSENT, None: INDETERMINATE}
    value = codeable_concept(presences[finding.present])
    return _observation(report, finding, uid, {"code": code, "valueCodeableConcept": value})


def _observation(report: Report, finding: ReportedFinding, uid: str, parts: Resource) -> Resource:
    resource: Resource = {
        "resourceType": "Observation",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": [dicom_identifier(uid)],
        "status": "preliminary",
        "category": [{"coding": [IMAGING]}],
        "subject": {"reference": report.record_patient},
        **_effective(report),
        "issued": instant(report.issued),
        "device": {"reference": full_url(dicom_identifier(report.model.device_uid))},
        "derivedFrom": [_study_reference(report)],
        **parts,
    }
    if finding.site is not None:
        resource["bodySite"] = codeable_concept(finding.site)
    return checked(resource)


def _series(series: ReportedSeries, *, listed: bool) -> Resource:
    """Describe a series; the instances are `listed` for ours, which are few."""
    resource: Resource = {
        "uid": series.series_instance_uid,
        "modality": fhir_coding(Coding(series.modality, "DCM", series.modality)),
        "numberOfInstances": len(series.sop_classes),
        "description": series.description,
    }
    if listed:
        resource["instance"] = [
            {
                "uid": uid,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"},
            }
            for uid, sop_class in series.sop_classes.items()
        ]
    return _known(resource)


def _known(resource: Resource) -> Resource:
    """Leave out what is not known: FHIR's JSON has no empty value (FHIR R4 json, 2.6.2)."""
    return {name: value for name, value in resource.items() if value not in (None, "", [])}


def _written_by(report: Report) -> Resource:
    identifier = dicom_identifier(report.model.device_uid)
    return {"system": identifier["system"], "code": identifier["value"]}


def _study_reference(report: Report) -> Resource:
    return {"reference": full_url(dicom_identifier(report.study.study_instance_uid))}


def _effective(report: Report) -> Resource:
    if report.study.started is None:
        return {}
    return {"effectiveDateTime": date_time(report.study.started)}


def _conclusion(report: Report) -> str:
    qualification = report.model.content_qualification
    if qualification != RESEARCH or RESEARCH in report.conclusion:
        return report.conclusion
    return f"{RESEARCH}, not for diagnosis. {report.conclusion}"

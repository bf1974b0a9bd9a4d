"""The study and the model as FHIR R4 resources, and what all our resources have in common: pure functions.

Every resource is held against its `fhir.resources` model before it leaves (R4B, which is R4 for these
types), but sent as it was built: the model's own output loses the digits of decimals. References between
them are ``urn:uuid`` names, until somebody knows where each of them stands.
"""

from collections.abc import Mapping

from fhir.resources.R4B import get_fhir_model_class

from integrations.fhir.coding import (
    ACCESSION,
    AI_DEVICE,
    UID_SYSTEM,
    date_time,
    dicom_code,
    dicom_identifier,
    full_url,
)
from integrations.fhir.wire import Resource
from integrations.lineage import report_uid, version_of
from integrations.report import Report, ReportedSeries


def imaging_study(report: Report) -> Resource:
    """Describe the study, its series that were read and those that we made.

    Counts of the whole study are left out: we may have been sent a part of it. Its tag tells one that we
    wrote from one that was there before.
    """
    study = report.study
    identifiers = [dicom_identifier(study.study_instance_uid)]
    if study.accession_number:
        identifiers.append(accession(study.accession_number))
    resource: Resource = {
        "resourceType": "ImagingStudy",
        "meta": {"tag": [_written_by(report)]},
        "identifier": identifiers,
        "status": "available",
        "modality": [dicom_code(one) for one in study.modalities],
        "subject": {"reference": report.record_patient},
        "started": None if study.started is None else date_time(study.started),
        "description": study.description,
        "series": [
            *(_series(one, listed=False) for one in report.source_series),
            *(_series(one, listed=True) for one in report.result_series),
        ],
    }
    return checked(known(resource))


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


def accession(number: str) -> Resource:
    """Write an Accession Number as an identifier."""
    return {"type": {"coding": [ACCESSION]}, "value": number}


def versioned(report: Report, key: str) -> list[Resource]:
    """Return the identifier of something through all revisions of a report, and that of this version."""
    return [dicom_identifier(key), dicom_identifier(version_of(report, key))]


def report_identifiers(report: Report) -> list[Resource]:
    """Return the identifier of the report through all its revisions, and that of its result set."""
    return [dicom_identifier(report_uid(report)), dicom_identifier(report.result_set_uid)]


def reference_to(resource: Resource) -> Resource:
    """Refer to a resource by the name that its first identifier gives it."""
    return {"reference": full_url(resource["identifier"][0])}


def study_reference(report: Report) -> Resource:
    """Refer to the study by its name."""
    return {"reference": full_url(dicom_identifier(report.study.study_instance_uid))}


def model_reference(report: Report) -> Resource:
    """Refer to the model by its name."""
    return {"reference": full_url(dicom_identifier(report.model.device_uid))}


def linked(node: object, links: Mapping[str, Resource]) -> object:
    """Put in place of names what they stand for.

    Parameters
    ----------
    links
        References by the name that they take the place of; another name stays.
    """
    if isinstance(node, list):
        return [linked(one, links) for one in node]
    if not isinstance(node, dict):
        return node
    name = node.get("reference")
    if isinstance(name, str) and name in links:
        return {**node, **links[name]} if "reference" in links[name] else links[name]
    return {key: linked(value, links) for key, value in node.items()}


def effective(report: Report) -> Resource:
    """Return when the images were made, where that is known."""
    if report.study.started is None:
        return {}
    return {"effectiveDateTime": date_time(report.study.started)}


def known(resource: Resource) -> Resource:
    """Leave out what is not known: FHIR's JSON has no empty value (FHIR R4 json, 2.6.2)."""
    return {name: value for name, value in resource.items() if value not in (None, "", [])}


def checked(resource: Resource) -> Resource:
    """Give the resource back when its model accepts it.

    Raises
    ------
    ValueError
        It is not a valid resource: a mistake of ours.
    """
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def _series(series: ReportedSeries, *, listed: bool) -> Resource:
    """Describe a series; the instances are `listed` for ours, which are few."""
    resource: Resource = {
        "uid": series.series_instance_uid,
        "modality": dicom_code(series.modality),
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
    return known(resource)


def _written_by(report: Report) -> Resource:
    identifier = dicom_identifier(report.model.device_uid)
    return {"system": identifier["system"], "code": identifier["value"]}

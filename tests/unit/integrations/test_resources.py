import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integrations.fhir import resources
from integrations.fhir.answers import held
from integrations.fhir.composition import Kind, Notice, Wishes
from integrations.fhir.provenance import provenance
from integrations.fhir.wire import Resource, encode
from integrations.lineage import report_uid
from integrations.report import Coding
from tests.unit.integrations.fhir_server import bundle
from tests.unit.integrations.samples import (
    AREA,
    BRAIN,
    BRAIN_FINDING,
    LEFT,
    NO_LESION,
    REPORT,
    SCORE,
)


def _of_type(resource_type: str, of: Resource | None = None) -> list[Any]:
    entries = (bundle(REPORT) if of is None else of)["entry"]
    found = [one["resource"] for one in entries]
    return [one for one in found if one["resourceType"] == resource_type]


def test_the_same_report_gives_the_same_bytes() -> None:
    assert encode(bundle(REPORT)) == encode(bundle(REPORT))


def test_the_bundle_holds_one_of_each_and_its_observations() -> None:
    types = [one["resource"]["resourceType"] for one in bundle(REPORT)["entry"]]
    assert types == [
        "Device",
        "ImagingStudy",
        *["Observation"] * 4,
        "DiagnosticReport",
        "Provenance",
    ]


def test_every_reference_is_of_the_bundle_or_of_the_patient() -> None:
    sent = bundle(REPORT)
    names = {one["fullUrl"] for one in sent["entry"]}
    assert len(names) == len(sent["entry"])
    references = set(_references(sent))
    assert references - names == {"Patient/colin", "Patient/colin/_history/3"}


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if "reference" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def test_everything_but_the_provenance_is_created_on_a_condition_of_its_own() -> None:
    requests = {one["fullUrl"]: one["request"] for one in bundle(REPORT)["entry"]}
    conditions = [one["ifNoneExist"] for one in requests.values() if "ifNoneExist" in one]
    assert len(set(conditions)) == len(conditions) == len(requests) - 1
    assert f"identifier=urn:dicom:uid|urn:oid:{report_uid(REPORT)}" in conditions


def test_digits_stay_as_they_were_meant() -> None:
    text = encode(bundle(REPORT))
    assert '"value":1502.30,"unit":"mL","system":"http://unitsofmeasure.org","code":"mL"' in text
    assert '"value":14200,"unit":"mm2"' in text


def test_a_quantity_says_what_was_measured_and_on_what() -> None:
    volume = _of_type("Observation")[0]
    assert volume["code"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert volume["code"]["text"] == "Brain: Volume"
    assert volume["component"][0]["valueCodeableConcept"]["coding"][0]["code"] == BRAIN.value
    assert volume["status"] == "preliminary"
    assert volume["effectiveDateTime"] == "2026-06-01"
    assert volume["issued"] == "2026-06-01T12:30:15.250+00:00"
    assert volume["meta"]["security"][0]["code"] == "AIAST"
    assert "bodySite" not in volume


def _identifiers(number: int, of: Resource | None = None) -> list[str]:
    found = _of_type("Observation", of)
    return [one["identifier"][number]["value"] for one in found]


def test_values_have_one_identifier_for_all_revisions_and_one_for_each() -> None:
    values = _identifiers(0)
    assert len(set(values)) == 4
    assert all(one.startswith("urn:oid:2.25.") for one in values)
    again = bundle(replace(REPORT, result_set_uid="2.25.1301"))
    assert values == _identifiers(0, again)
    assert set(_identifiers(1)).isdisjoint(_identifiers(1, again))
    brain = _of_type("Observation")[3]
    assert brain["identifier"][2]["value"] == f"urn:oid:{BRAIN_FINDING.tracking_uid}"


def test_a_finding_names_its_numbers_as_members() -> None:
    volume, area, lesion, brain = _of_type("Observation")
    assert brain["valueCodeableConcept"]["text"] == "Present"
    assert [one["code"] for one in brain["category"][1]["coding"]] == ["125007"]
    names = [resources.reference_to(one) for one in (volume, area)]
    assert brain["hasMember"] == names
    assert brain["interpretation"][0]["coding"][0]["code"] == "POS"
    assert lesion["interpretation"][0]["coding"][0]["code"] == "NEG"
    assert "hasMember" not in lesion


def test_a_number_of_the_whole_series_stands_alone() -> None:
    thickness = replace(BRAIN_FINDING, type=AREA.concept, quantities=(AREA,), label="Area")
    (only,) = _of_type("Observation", bundle(replace(REPORT, findings=(thickness,))))
    assert only["valueQuantity"]["value"] == 14200
    assert only["code"]["text"] == "Area"
    assert "component" not in only


def test_a_score_is_told_with_what_it_was_held_against() -> None:
    scored = replace(NO_LESION, score=SCORE, laterality=LEFT)
    (lesion,) = _of_type("Observation", bundle(replace(REPORT, findings=(scored,))))
    side, score, threshold = lesion["component"]
    assert side["valueCodeableConcept"]["coding"][0]["code"] == "7771000"
    assert score["code"] == {"text": "Lesion score"}
    assert (score["valueQuantity"]["value"], score["valueQuantity"]["code"]) == (
        Decimal("0.310"),
        "1",
    )
    assert threshold["valueQuantity"]["value"] == Decimal("0.5")
    assert lesion["bodySite"]["text"] == "Brain, Left"


def test_a_critical_finding_is_marked_and_told_where_the_site_wants_it() -> None:
    wishes = Wishes(critical=frozenset({"Brain", "52988006"}), notice=Notice.FLAG)
    sent = bundle(REPORT, wishes)
    (flag,) = _of_type("Flag", sent)
    assert flag["code"]["text"].startswith("RESEARCH, not for diagnosis. AI finding, preliminary")
    codes = [one["coding"][0]["code"] for one in _of_type("Observation", sent)[3]["interpretation"]]
    assert codes == ["POS", "AA"]
    told = bundle(REPORT, replace(wishes, notice=Notice.COMMUNICATION))
    (communication,) = _of_type("Communication", told)
    assert communication["priority"] == "urgent"


def test_a_site_may_have_the_report_partial_with_its_page_and_a_task(tmp_path: Path) -> None:
    page = tmp_path / "page.pdf"
    page.write_bytes(b"%PDF-1.4 page")
    wishes = Wishes(status="partial", page=True, task=True)
    sent = bundle(replace(REPORT, page=page), wishes)
    (summary,) = _of_type("DiagnosticReport", sent)
    assert summary["status"] == "partial"
    assert base64.b64decode(summary["presentedForm"][0]["data"]) == b"%PDF-1.4 page"
    (task,) = _of_type("Task", sent)
    assert task["status"] == "completed"
    assert task["output"][0]["valueReference"] == resources.reference_to(summary)


def test_what_a_site_does_not_allow_is_referred_to_by_its_identifier() -> None:
    wishes = Wishes(leave_out=frozenset({"ImagingStudy", "Device", "Provenance"}))
    sent = bundle(REPORT, wishes)
    kinds = [one["resource"]["resourceType"] for one in sent["entry"]]
    assert kinds == [*["Observation"] * 4, "DiagnosticReport"]
    (summary,) = _of_type("DiagnosticReport", sent)
    assert summary["imagingStudy"][0]["identifier"]["value"].startswith("urn:oid:2.25.1001")
    assert _of_type("Observation", sent)[0]["device"]["display"] == "Brain extraction 1.0.2"


def test_a_document_holds_the_page_or_else_the_conclusion(tmp_path: Path) -> None:
    page = tmp_path / "page.pdf"
    page.write_bytes(b"%PDF-1.4 page")
    wishes = Wishes(kind=Kind.DOCUMENT)
    for of, kind, content in (
        (replace(REPORT, page=page), "application/pdf", b"%PDF-1.4 page"),
        (REPORT, "text/plain; charset=utf-8", b"RESEARCH, not for diagnosis. The brain"),
    ):
        (document,) = _of_type("DocumentReference", bundle(of, wishes))
        attached = document["content"][0]["attachment"]
        assert attached["contentType"] == kind
        assert base64.b64decode(attached["data"]).startswith(content)
        assert document["docStatus"] == "preliminary"


def test_the_provenance_of_a_revision_names_the_former_version() -> None:
    former = held("DiagnosticReport/7", {"meta": {"versionId": "3"}})
    of = replace(REPORT, predecessors=("2.25.9",))
    trail = provenance(of, [resources.device(of)], former)
    assert trail["activity"]["coding"][0]["code"] == "UPDATE"
    assert trail["entity"][-1] == {
        "role": "revision",
        "what": {
            "reference": "DiagnosticReport/7/_history/3",
            "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:2.25.9"},
        },
    }


def test_a_finding_that_is_not_there_says_so() -> None:
    absent = _of_type("Observation")[2]
    assert absent["valueCodeableConcept"]["coding"][0]["code"] == "272519000"
    assert absent["bodySite"]["coding"][0]["code"] == BRAIN.value
    assert "valueQuantity" not in absent


def test_a_finding_without_values_is_present() -> None:
    seen = replace(REPORT, findings=(replace(NO_LESION, present=True),))
    present = _of_type("Observation", bundle(seen))
    assert [one["valueCodeableConcept"]["text"] for one in present] == ["Present"]


def test_an_absent_finding_reports_no_values() -> None:
    gone = replace(REPORT, findings=(replace(BRAIN_FINDING, present=False),))
    assert ["valueQuantity" in one for one in _of_type("Observation", bundle(gone))] == [False]


def test_a_report_without_findings_has_no_results() -> None:
    nothing = bundle(replace(REPORT, findings=()))
    assert "result" not in _of_type("DiagnosticReport", nothing)[0]


def test_the_report_says_that_it_is_research() -> None:
    written = _of_type("DiagnosticReport")[0]
    assert written["conclusion"] == "RESEARCH, not for diagnosis. The brain measures 1502.30 mL."
    product = replace(REPORT, model=replace(REPORT.model, content_qualification="PRODUCT"))
    plain = _of_type("DiagnosticReport", bundle(product))[0]
    assert plain["conclusion"] == REPORT.conclusion
    said = replace(REPORT, conclusion="RESEARCH: nothing.")
    assert _of_type("DiagnosticReport", bundle(said))[0]["conclusion"] == "RESEARCH: nothing."
    note = _of_type("Device")[0]["note"][0]["text"]
    assert note == "Content Qualification (0018,9004): RESEARCH"


def test_the_report_is_preliminary_and_known_by_its_result_set() -> None:
    written = _of_type("DiagnosticReport")[0]
    assert written["status"] == "preliminary"
    assert [one["value"] for one in written["identifier"]] == [
        f"urn:oid:{report_uid(REPORT)}",
        "urn:oid:2.25.1300",
    ]
    assert len(written["result"]) == 4


def test_the_study_lists_what_was_read_and_what_was_made() -> None:
    study = _of_type("ImagingStudy")[0]
    assert study["identifier"][0]["value"] == f"urn:oid:{REPORT.study.study_instance_uid}"
    assert study["identifier"][1]["value"] == "ACC-1"
    read, segmentation, structured_report = study["series"]
    assert (read["modality"]["code"], read["numberOfInstances"]) == ("MR", 3)
    assert "instance" not in read
    assert segmentation["instance"][0]["sopClass"]["code"].endswith(".66.4")
    assert structured_report["modality"]["code"] == "SR"


def test_the_provenance_names_the_values_of_the_record_with_their_version() -> None:
    trail = _of_type("Provenance")[0]
    assert trail["entity"][1]["what"] == {
        "reference": "Patient/colin/_history/3",
        "display": "Subject Age: 57 a",
    }
    assert len(trail["target"]) == 5
    assert trail["reason"][0]["coding"][0]["code"] == "AIAST"


def test_a_source_that_is_no_reference_is_only_told() -> None:
    value = replace(REPORT.context[0], source="DICOM header", unit=None)
    trail = _of_type("Provenance", bundle(replace(REPORT, context=(value,))))[0]
    assert trail["entity"][1]["what"] == {"display": "Subject Age: 57"}


@pytest.mark.parametrize(
    ("started", "written"),
    [
        (
            datetime(2026, 6, 1, 8, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-06-01T08:05:00+02:00",
        ),
        (datetime(2026, 6, 1, 8, 5), "2026-06-01"),  # noqa: DTZ001 -- a time without zone is the case
        (None, None),
    ],
)
def test_a_time_needs_its_offset(started: datetime | None, written: str | None) -> None:
    of = bundle(replace(REPORT, study=replace(REPORT.study, started=started)))
    assert _of_type("ImagingStudy", of)[0].get("started") == written
    assert _of_type("Observation", of)[0].get("effectiveDateTime") == written


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(REPORT.study, accession_number=None, description=None)
    study = _of_type("ImagingStudy", bundle(replace(REPORT, study=bare)))[0]
    assert len(study["identifier"]) == 1
    assert "description" not in study


def test_a_private_code_is_only_told() -> None:
    private = replace(REPORT, procedure=Coding("BRAIN", "99EXAMPLE", "Brain, our protocol"))
    assert _of_type("DiagnosticReport", bundle(private))[0]["code"] == {
        "text": "Brain, our protocol"
    }


def test_an_invalid_resource_does_not_leave() -> None:
    with pytest.raises(ValueError, match="subjectt"):
        resources.checked({
            "resourceType": "DiagnosticReport",
            "status": "preliminary",
            "code": {},
            "subjectt": {},
        })


def test_an_instant_without_offset_is_a_mistake() -> None:
    naive = datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="offset"):
        bundle(replace(REPORT, issued=naive))

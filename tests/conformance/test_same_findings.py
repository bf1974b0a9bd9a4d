"""The same result in an archive, in a record and in a message: equal value for value."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import hl7
import pytest
from pydicom import Dataset

from inference.findings import Result
from inference.results.objects import Kind
from inference.results.profile import Profile
from inference.results.set import build
from integrations.concepts import ucum_code
from integrations.fhir.wire import decode, encode
from integrations.hl7 import oru
from integrations.hl7.observations import sub_id
from integrations.hl7.oru import Letterhead
from integrations.lineage import numbers_of
from integrations.report import Coding, Report
from node.pipeline.translate import Source, report
from tests.conformance.test_report_forms import (
    absent,
    answers_alone,
    everything,
    sagittal_without_a_body_part,
)
from tests.unit.inference_results.studies import REQUEST
from tests.unit.integrations.fhir_server import bundle
from tests.unit.node.samples import claim

FORM = Profile(name="groups", groups_without_regions=True)
RESULTS: dict[str, Callable[[Path], Result]] = {
    "everything": everything,
    "undecided": sagittal_without_a_body_part,
    "answers and nothing found": answers_alone,
    "a segment that is empty": absent,
}
FINDING, SITE, SIDE = "121071", "363698007", "272741003"
DERIVATION, METHOD, TRACKING_UID = "121401", "370129005", "112040"
PRESENCES = {"52101004", "272519000", "82334004"}
PRESENT = "52101004"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as it is told: codes of what it is, its value to the last bit, its UCUM unit."""

    concept: str
    value: float
    unit: str
    derivation: str | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of one finding; type and presence are None of a number that stands alone."""

    type: str | None
    presence: str | None
    site: str | None
    side: str | None
    numbers: frozenset[Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """One result in three forms."""

    report: Report
    sr: Dataset
    fhir: Mapping[str, Any]
    message: bytes


def _forms(result: Result) -> Forms:
    objects = build(result, REQUEST, FORM)
    source = Source(default_issuer="EXAMPLE", time_zone=None)
    at = datetime(2026, 10, 16, tzinfo=UTC)
    of = report(claim(context={"patient": "Patient/1"}), result, objects, source, at)
    return _told_in(of, next(one.dataset for one in objects if one.kind is Kind.SR))


def _told_in(of: Report, sr: Dataset) -> Forms:
    fhir = decode(encode(bundle(of)))
    return Forms(report=of, sr=sr, fhir=fhir, message=oru.result(of, Letterhead()))


def _differing(forms: Forms) -> list[str]:
    """Return the Tracking UIDs of the findings that are not told alike."""
    in_record, in_message = dict(_record(forms)), dict(_message(forms))
    grouped, plain = _archive(forms.sr)
    uids = [one.tracking_uid for one in forms.report.findings]
    assert [*in_message] == uids
    assert {*in_record} == {*uids} >= {*grouped}
    # what was looked for in vain has no group: the structured report tells it without place and number
    rest = [one for uid, one in in_record.items() if uid not in grouped]
    assert Counter((one.type, one.presence) for one in rest) == Counter(plain)
    assert not any(one.numbers for one in rest)
    return [
        uid
        for uid in uids
        if not in_record[uid] == in_message[uid] == grouped.get(uid, in_record[uid])
    ]


@pytest.mark.parametrize("name", RESULTS)
def test_the_three_tell_the_same(name: str, tmp_path: Path) -> None:
    assert _differing(_forms(RESULTS[name](tmp_path))) == []


def test_findings_of_every_kind_are_compared(tmp_path: Path) -> None:
    """The comparison is of little worth where there is little to compare."""
    result = everything(tmp_path)
    grouped, _ = _archive(
        next(o.dataset for o in build(result, REQUEST, FORM) if o.kind is Kind.SR)
    )
    numbers = [number for one in grouped.values() for number in one.numbers]
    assert len(grouped) == 7
    assert len(numbers) == 16
    assert sum(one.derivation is not None for one in numbers) == 4
    assert sum(one.method is not None for one in numbers) == 2
    assert sum(one.side is not None for one in grouped.values()) == 3


@pytest.mark.parametrize("places", [1, 4, 12])
def test_a_value_that_is_rounded_on_the_way_is_seen(tmp_path: Path, places: int) -> None:
    made = _forms(everything(tmp_path))
    brain, *others = made.report.findings
    volume, *rest = brain.quantities
    rounded = replace(volume, value=f"{float(volume.value):.{places}f}")
    findings = (replace(brain, quantities=(rounded, *rest)), *others)
    of = replace(made.report, findings=findings)
    assert _differing(_told_in(of, made.sr)) == [brain.tracking_uid]


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        (b"|mL^mL^UCUM|", b"|uL^uL^UCUM|"),
        (b"52101004^Present^SCT", b"272519000^Absent^SCT"),
        (b"7771000^Left^SCT", b"24028007^Right^SCT"),
        (b"56851009^Maximum^SCT", b"373098007^Mean^SCT"),
    ],
)
def test_a_message_that_says_something_else_is_seen(
    tmp_path: Path, sound: bytes, broken: bytes
) -> None:
    made = _forms(everything(tmp_path))
    wrong = replace(made, message=made.message.replace(sound, broken))
    assert _differing(wrong) != []


# ------------------------------------------------------------------ the structured report


def _archive(sr: Dataset) -> tuple[dict[str, Told], list[tuple[str, str]]]:
    """Read the groups by their Tracking UID, and what is said besides: type and presence."""
    groups: dict[str, list[Dataset]] = {}
    plain = []
    for section in _items(sr):
        for item in _items(section):
            if item.ValueType == "CONTAINER" and _name(item) == "125007":
                uid = next(one.UID for one in _items(item) if _name(one) == TRACKING_UID)
                groups.setdefault(str(uid), []).extend(_items(item))
            elif item.ValueType == "CODE" and _value(item) in PRESENCES:
                plain.append((_name(item), _value(item)))
    return {uid: _group(items) for uid, items in groups.items()}, plain


def _group(items: list[Dataset]) -> Told:
    codes = {_name(one): one for one in items if one.ValueType == "CODE"}
    answer = next((one for one in codes.values() if _value(one) in PRESENCES), None)
    type_ = _value(codes[FINDING]) if FINDING in codes else None
    presence = None if type_ is None else PRESENT
    if answer is not None:
        type_, presence = _name(answer), _value(answer)
    site = codes.get(SITE)
    side = None if site is None else _below(site, SIDE)
    return Told(
        type=type_,
        presence=presence,
        site=None if site is None else _value(site),
        side=side,
        numbers=frozenset(_measured(one) for one in items if one.ValueType == "NUM"),
    )


def _measured(item: Dataset) -> Number:
    measured = item.MeasuredValueSequence[0]
    code = measured.MeasurementUnitsCodeSequence[0]
    exact = float(measured.FloatingPointValue)
    assert float(measured.NumericValue) == pytest.approx(exact, rel=1e-13), "16 characters (VR DS)"
    return Number(
        concept=_name(item),
        value=exact,
        unit=ucum_code(Coding(code.CodeValue, "UCUM", code.CodeMeaning)),
        derivation=_below(item, DERIVATION),
        method=_below(item, METHOD),
    )


def _items(item: Dataset) -> list[Dataset]:
    return list(item.get("ContentSequence", []))


def _below(item: Dataset, name: str) -> str | None:
    return next((_value(one) for one in _items(item) if _name(one) == name), None)


def _name(item: Dataset) -> str:
    return _code(item.ConceptNameCodeSequence[0]) if "ConceptNameCodeSequence" in item else ""


def _value(item: Dataset) -> str:
    return _code(item.ConceptCodeSequence[0])


def _code(code: Dataset) -> str:
    """Return a code, of a private scheme its meaning: that is what FHIR, which has no URI for it, tells."""
    private = str(code.CodingSchemeDesignator).startswith("99")
    return str(code.CodeMeaning if private else code.CodeValue)


# ------------------------------------------------------------------ the record


def _record(forms: Forms) -> Iterator[tuple[str, Told]]:
    """Read the Observations; each finding by its Tracking UID, a number alone by its own identifier."""
    found = [e["resource"] for e in forms.fhir["entry"]]
    urls = {e["fullUrl"]: e["resource"] for e in forms.fhir["entry"]}
    alone = {
        key: one.tracking_uid
        for one in forms.report.findings
        if one.is_number
        for _, key in numbers_of(forms.report, one)
    }
    members = {member["reference"] for one in found for member in one.get("hasMember", ())}
    for url, one in urls.items():
        if one["resourceType"] == "Observation" and url not in members:
            uids = [i["value"].removeprefix("urn:oid:") for i in one["identifier"]]
            if "valueQuantity" in one:
                yield alone[uids[0]], _observed(one, [one])
            else:
                numbers = [urls[member["reference"]] for member in one.get("hasMember", ())]
                yield uids[2], _observed(one, numbers)


def _observed(one: Mapping[str, Any], numbers: list[Any]) -> Told:
    is_number = "valueQuantity" in one
    parts = {_concept(part["code"]): part for part in one.get("component", ())}
    scores = [
        _quantity(name, part["valueQuantity"])
        for name, part in parts.items()
        if "valueQuantity" in part
    ]
    told = Told(
        type=None if is_number else _concept(one["code"]),
        presence=None if is_number else _concept(one["valueCodeableConcept"]),
        site=_optional(one.get("bodySite")),
        side=_optional(parts.get(SIDE, {}).get("valueCodeableConcept")),
        numbers=frozenset([*scores, *map(_number, numbers)]),
    )
    for member in numbers:
        assert _optional(member.get("bodySite")) == told.site
    return told


def _number(one: Mapping[str, Any]) -> Number:
    parts = {_concept(part["code"]): part for part in one.get("component", ())}
    return replace(
        _quantity(_concept(one["code"]), one["valueQuantity"]),
        derivation=_optional(parts.get(DERIVATION, {}).get("valueCodeableConcept")),
        method=_optional(one.get("method")),
    )


def _quantity(concept: str, quantity: Mapping[str, Any]) -> Number:
    assert quantity["system"] == "http://unitsofmeasure.org"
    return Number(concept=concept, value=float(quantity["value"]), unit=quantity["code"])


def _concept(concept: Mapping[str, Any]) -> str:
    return str(concept["coding"][0]["code"] if "coding" in concept else concept["text"])


def _optional(concept: Mapping[str, Any] | None) -> str | None:
    return None if concept is None else _concept(concept)


# ------------------------------------------------------------------ the message


def _message(forms: Forms) -> Iterator[tuple[str, Told]]:
    """Read the OBX segments; each finding by the beginning of its sub-ID."""
    uids = {sub_id(forms.report, one): one.tracking_uid for one in forms.report.findings}
    rows: dict[str, list[list[str]]] = {}
    for segment in hl7.parse(forms.message.decode("utf-8")):
        fields = [str(one) for one in segment]
        if fields[0] == "OBX" and fields[4]:
            rows.setdefault(fields[4].partition(".")[0], []).append(fields)
    for of, group in rows.items():
        yield uids[of], _told(group)


def _told(group: list[list[str]]) -> Told:
    codes = {_ce(row[3]): _ce(row[5]) for row in group if row[2] == "CWE"}
    answer = next(((what, said) for what, said in codes.items() if said in PRESENCES), None)
    derived = {row[4]: _ce(row[5]) for row in group if _ce(row[3]) == DERIVATION}
    return Told(
        type=None if answer is None else answer[0],
        presence=None if answer is None else answer[1],
        site=codes.get(SITE),
        side=codes.get(SIDE),
        numbers=frozenset(_nm(row, derived) for row in group if row[2] == "NM"),
    )


def _nm(row: list[str], derived: Mapping[str, str]) -> Number:
    unit, _, system = row[6].split("^")
    assert system == "UCUM"
    assert "E" not in row[5].upper(), "NM has no exponent"
    return Number(
        concept=_ce(row[3]),
        value=float(Decimal(row[5])),
        unit=unit,
        derivation=derived.get(row[4]),
        method=_ce(row[17]) if row[17] else None,
    )


def _ce(written: str) -> str:
    code, meaning, scheme = written.split("^")[:3]
    return meaning if scheme.startswith("99") else code

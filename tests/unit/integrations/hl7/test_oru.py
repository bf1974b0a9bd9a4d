"""The message of a report: who it is of, what it says, and that the same is said in the same bytes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.errors import Refused
from integrations.hl7 import answers, oru
from integrations.hl7.oru import Letterhead, Purpose, control_id, filler_number
from integrations.report import Coding, Quantity, Report, ReportedOrder
from tests.unit.integrations.samples import (
    BRAIN_FINDING,
    IDENTITY,
    LEFT,
    NO_LESION,
    REPORT,
    SCORE,
    VOLUME,
)

AT = datetime(2026, 6, 2, tzinfo=UTC)
PLAIN = Letterhead()


def lines(message: bytes, name: str) -> list[list[str]]:
    """Give the fields of every segment of a name, by their numbers."""
    found = [one.split("|") for one in message.decode("utf-8").split("\r")]
    return [["MSH", "|", *one[1:]] if name == "MSH" else one for one in found if one[0] == name]


def told(of: Report, name: str, field: int, letterhead: Letterhead = PLAIN) -> str:
    return lines(oru.result(of, letterhead), name)[0][field]


def of_patient(**changes: Any) -> Report:
    return replace(REPORT, study=replace(REPORT.study, patient=replace(IDENTITY, **changes)))


def test_a_message_says_what_it_is_and_in_which_characters() -> None:
    letterhead = Letterhead(
        application="NODE", facility="GH", receiving_application="RIS", receiving_facility="RAD"
    )
    (head,) = lines(oru.result(REPORT, letterhead), "MSH")
    assert head[1:7] == ["|", "^~\\&", "NODE", "GH", "RIS", "RAD"]
    assert head[7] == "20260601123015.2500+0000"
    assert head[9:13] == [
        "ORU^R01^ORU_R01",
        control_id(REPORT, Purpose.RESULT),
        "P",
        "2.5.1",
    ]
    assert head[18] == "UNICODE UTF-8"


def test_numbers_fit_their_fields_and_last() -> None:
    revision = replace(REPORT, result_set_uid="2.25.9", issued=REPORT.issued + timedelta(days=1))
    ids = [control_id(of, purpose) for of in (REPORT, revision) for purpose in Purpose]
    assert len({*ids}) == 4
    assert all(len(one) == 20 and one.isascii() and one.isalnum() for one in ids)
    assert filler_number(REPORT) == filler_number(revision)
    assert oru.result(REPORT, PLAIN) == oru.result(REPORT, PLAIN)
    assert oru.withdrawal(REPORT, PLAIN, AT) == oru.withdrawal(REPORT, PLAIN, AT)
    sub_ids = [one[4] for one in lines(oru.result(REPORT, PLAIN), "OBX")]
    assert [one[4] for one in lines(oru.result(revision, PLAIN), "OBX")] == sub_ids
    assert max(map(len, sub_ids)) == 20


def test_another_patient_or_model_has_another_filler_number() -> None:
    others = [
        of_patient(patient_id="MRN-4712"),
        of_patient(issuer_of_patient_id="ANOTHER HOSPITAL"),
        replace(REPORT, model=replace(REPORT.model, name="Another")),
        REPORT,
    ]
    assert len({filler_number(one) for one in others}) == 4


def test_what_is_told_of_a_finding_is_one_group() -> None:
    quantity = replace(
        VOLUME,
        derivation=Coding("56851009", "SCT", "Maximum"),
        method=Coding("126030", "DCM", "Sum of segmented voxel volumes"),
    )
    twice = replace(quantity, value="0.00001")
    of = replace(
        REPORT,
        findings=(
            replace(BRAIN_FINDING, quantities=(quantity, twice), label="Brain, left"),
            replace(NO_LESION, laterality=LEFT, score=SCORE),
        ),
    )
    found = lines(oru.result(of, PLAIN), "OBX")[4:]
    rows = [(one[2], one[3].split("^")[1], one[5], one[6]) for one in found]
    assert rows == [
        ("CWE", "Brain", "52101004^Present^SCT", ""),
        ("NM", "Volume", "1502.30", "mL^mL^UCUM"),
        ("CWE", "Derivation", "56851009^Maximum^SCT", ""),
        ("NM", "Volume", "0.00001", "mL^mL^UCUM"),
        ("CWE", "Derivation", "56851009^Maximum^SCT", ""),
        ("CWE", "Lesion", "272519000^Absent^SCT", ""),
        ("CWE", "Finding Site", "12738006^Brain^SCT", ""),
        ("CWE", "Laterality", "7771000^Left^SCT", ""),
        ("NM", "Lesion score", "0.310", "1^1^UCUM"),
        ("NM", "Operating threshold", "0.5", "1^1^UCUM"),
    ]
    assert found[0][3] == "12738006^Brain^SCT^Brain, left^Brain, left^99OVERREAD"
    assert found[1][17] == "126030^Sum of segmented voxel volumes^DCM"
    brain, lesion = found[0][4], found[5][4]
    assert {one[4] for one in found[5:]} == {lesion}
    assert all(one[4].startswith(f"{brain}.") for one in found[1:5])
    assert found[1][4] == found[2][4] != found[3][4] == found[4][4]
    assert len({(one[3], one[4]) for one in found}) == len(found)


def test_a_number_of_the_whole_series_stands_alone() -> None:
    thickness = Quantity(
        concept=Coding("118560001", "SCT", "Thickness"),
        value="2.51",
        unit=Coding("mm", "UCUM", "mm"),
    )
    alone = replace(
        BRAIN_FINDING, type=thickness.concept, label="Mean cortex", quantities=(thickness,)
    )
    (found,) = lines(oru.result(replace(REPORT, findings=(alone,)), PLAIN), "OBX")[4:]
    assert found[3:7] == [
        "118560001^Thickness^SCT^Mean cortex^Mean cortex^99OVERREAD",
        found[4],
        "2.51",
        "mm^mm^UCUM",
    ]


def test_everything_is_preliminary_and_names_the_device() -> None:
    message = oru.result(REPORT, PLAIN)
    assert lines(message, "OBR")[0][25] == "P"
    for one in lines(message, "OBX"):
        assert (one[11], one[18]) == ("P", "2.25.1400")


@pytest.mark.parametrize("withdrawn", ["W", "D"])
def test_a_withdrawal_says_the_same_and_that_it_does_not_hold(withdrawn: Any) -> None:
    letterhead = Letterhead(withdrawn=withdrawn)
    sent, gone = oru.result(REPORT, letterhead), oru.withdrawal(REPORT, letterhead, AT)
    assert {one[11] for one in lines(gone, "OBX")} == {withdrawn}
    assert [[*one[:11], *one[12:]] for one in lines(gone, "OBX")] == [
        [*one[:11], *one[12:]] for one in lines(sent, "OBX")
    ]
    (request,) = lines(gone, "OBR")
    assert request[3] == lines(sent, "OBR")[0][3]
    assert (request[22], request[25]) == ("20260602000000.0000+0000", "X")
    assert request[18] == "", "OBR-25 X must cancel no order of anybody else"


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Doe^Colin", "Doe^Colin^^^^^L^A"),
        ("Doe^Colin^A^Dr.^MD", "Doe^Colin^A^MD^Dr.^^L^A"),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
        ),
        ("=王^小東", "王^小東^^^^^L^I"),
        ("Παπαδοπούλου^Ελένη", "Παπαδοπούλου^Ελένη^^^^^L^A"),
        ("Иванов^Иван", "Иванов^Иван^^^^^L^A"),
        ("قباني^لنزار", "قباني^لنزار^^^^^L^A"),
        ("שרון^דבורה", "שרון^דבורה^^^^^L^A"),
        ("ไทย^สมชาย", "ไทย^สมชาย^^^^^L^A"),
        ("Hong^Gildong=洪^吉洞=홍^길동", None),
        ("علی‌رضا", "علی‌رضا^^^^^^L^A"),
        ("O|Neill&Sons~\\^Pat", "O\\F\\Neill\\T\\Sons\\R\\\\E\\^Pat^^^^^L^A"),
        ("", "^^^^^^U"),
        ("^^^^", "^^^^^^U"),
    ],
)
def test_names_of_every_script(written: str, names: str | None) -> None:
    found = told(of_patient(patient_name=written), "PID", 5)
    if names is None:
        assert found.count("~") == 2
    else:
        assert found == names


def test_a_patient_is_told_with_who_assigned_the_number() -> None:
    assert told(REPORT, "PID", 3) == "MRN-4711^^^EXAMPLE HOSPITAL^MR"
    named = Letterhead(assigning_authorities={"EXAMPLE HOSPITAL": "GH&2.16.840.1&ISO"})
    assert told(REPORT, "PID", 3, named) == "MRN-4711^^^GH&2.16.840.1&ISO^MR"
    assert told(of_patient(issuer_of_patient_id="A&B"), "PID", 3, named) == "MRN-4711^^^A\\T\\B^MR"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"patient_id": ""}, "NO-PATIENT-ID"),
        ({"issuer_of_patient_id": None}, "NO-ASSIGNING-AUTHORITY"),
        ({"issuer_of_patient_id": ""}, "NO-ASSIGNING-AUTHORITY"),
    ],
)
def test_nothing_is_told_of_nobody(changes: dict[str, Any], reason: str) -> None:
    of = of_patient(**changes)
    with pytest.raises(Refused) as refused:
        oru.result(of, PLAIN)
    with pytest.raises(Refused) as withdrawn:
        oru.withdrawal(of, PLAIN, AT)
    assert refused.value.reason == withdrawn.value.reason == reason
    assert "MRN" not in str(refused.value)


@pytest.mark.parametrize(
    ("started", "written"),
    [
        (None, ""),
        (date(2026, 6, 1), "20260601"),
        (datetime(2026, 6, 1, 8, 5), "20260601"),  # noqa: DTZ001 - a time without a zone is what is meant
        (
            datetime(
                2026, 6, 1, 8, 5, 1, 120000, tzinfo=timezone(timedelta(hours=-3, minutes=-30))
            ),
            "20260601080501.1200-0330",
        ),
    ],
)
def test_a_time_of_the_day_is_told_with_its_offset_only(started: Any, written: str) -> None:
    assert told(replace(REPORT, study=replace(REPORT.study, started=started)), "OBR", 7) == written


def test_a_merged_patient_is_named_by_the_number_that_he_has_now_and_the_report_is_the_same() -> (
    None
):
    now = replace(REPORT, known_as=replace(IDENTITY, patient_id="MRN-4712"))
    assert told(now, "PID", 3) == "MRN-4712^^^EXAMPLE HOSPITAL^MR"
    assert told(now, "OBR", 3) == told(REPORT, "OBR", 3)
    withdrawn = oru.withdrawal(now, PLAIN, AT)
    assert lines(withdrawn, "PID")[0][3] == "MRN-4712^^^EXAMPLE HOSPITAL^MR"
    assert lines(withdrawn, "OBR")[0][3] == told(REPORT, "OBR", 3)


def test_the_accession_number_is_told_where_the_site_wants_it() -> None:
    assert told(REPORT, "OBR", 18) == "ACC-1"
    assert told(REPORT, "OBR", 18, Letterhead(accession_number=False)) == ""


def test_the_order_is_named_where_the_site_wants_it() -> None:
    order = ReportedOrder(placer_order_number="P^1", filler_order_number="F1", reason="pain")
    ordered, wanted = replace(REPORT, order=order), Letterhead(placer_order_number=True)
    assert told(ordered, "OBR", 2, wanted) == "P\\S\\1"
    assert told(ordered, "OBR", 2) == ""
    assert told(REPORT, "OBR", 2, wanted) == ""


def test_codes_of_no_table_are_local() -> None:
    foreign = replace(REPORT, procedure=Coding("X", "SRT", "Old"))
    assert told(foreign, "OBR", 4) == "X^Old^L"
    private = replace(REPORT, procedure=Coding("B", "99EXAMPLE", "Brain, our protocol"))
    assert told(private, "OBR", 4) == "B^Brain, our protocol^99EXAMPLE"


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=200, deadline=None)
@given(name=TEXT, label=TEXT, conclusion=TEXT, accession=TEXT, patient_id=TEXT, issuer=TEXT)
def test_no_text_breaks_a_message(**texts: str) -> None:
    patient = replace(
        IDENTITY,
        patient_name=texts["name"],
        patient_id=texts["patient_id"] or "1",
        issuer_of_patient_id=texts["issuer"] or "A",
    )
    study = replace(REPORT.study, patient=patient, accession_number=texts["accession"])
    finding = replace(BRAIN_FINDING, label=texts["label"])
    of = replace(REPORT, study=study, findings=(finding,), conclusion=texts["conclusion"])
    message = oru.result(of, PLAIN)
    assert [one for one in {*message} if one < 0x20] == [0x0D]
    parsed = hl7.parse(message.decode("utf-8"))
    shape = [str(one[0]) for one in parsed]
    assert shape == ["MSH", "PID", "ORC", "OBR", "NTE", *["OBX"] * 7]
    lengths = [len(one.split("|")) for one in message.decode("utf-8").split("\r")]
    assert lengths[5:-1] == [20] * 7
    read = parsed.unescape(str(parsed.segment("OBR")[18]))
    printable = " ".join(texts["accession"].splitlines())
    kept = "".join(one for one in printable if one.isprintable())
    assert "".join(one for one in read if one.isprintable()) == kept


@settings(max_examples=500, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text("MSHAERCK|^~\\&\r\n0257 ", max_size=80).map(
        lambda tail: b"MSH|^~\\&|\rMSA|AE|1\rERR|" + tail.encode()
    )
)
def test_no_answer_breaks_its_reader(raw: bytes) -> None:
    try:
        found = answers.read(raw).code
    except Refused as refused:
        found = refused.reason
    assert found in {"AA", "AE", "AR", "CA", "CE", "CR", "HL7-NO-ACK"}


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        (b"MSH|^~\\&\rMSA|AE|1\rERR||PID^1^5|204^Unknown key^HL70357|E", 204),
        (b"MSH|^~\\&\rMSA|AE|1\rERR|PID^1^5^101&Missing&HL70357", 101),
        (b"MSH|^~\\&\rMSA|AE|1|text|||207^Internal^HL70357", 207),
        (b"MSH|^~\\&\nMSA|AE|1\n", None),
        (b"MSH|^~\\&\rMSA|AE|1\rERR||PID^1^5|Doe Colin|E", None),
    ],
)
def test_the_condition_is_read_as_each_version_writes_it(raw: bytes, condition: int | None) -> None:
    answer = answers.read(raw)
    assert (answer.code, answer.control_id, answer.condition) == ("AE", "1", condition)

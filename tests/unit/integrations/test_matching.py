from dataclasses import replace
from typing import Any

import pytest

from integrations.fhir.matching import contradiction
from tests.unit.integrations.samples import IDENTITY, colin


def _named(family: str | None, *given: str, **further: str) -> dict[str, Any]:
    name: dict[str, Any] = {"given": list(given), **further}
    if family is not None:
        name["family"] = family
    return {**colin(), "name": [name]}


def _reason(patient: dict[str, Any], patient_name: str = "Doe^Colin") -> str | None:
    return contradiction(patient, replace(IDENTITY, patient_name=patient_name))


@pytest.mark.parametrize(
    ("patient_name", "family", "given"),
    [
        ("DOE^COLIN", "Doe", ["Colin"]),
        ("Doe^Colin^^Dr.", "Doe", ["Colin"]),
        ("DOE^COLIN^JAMES", "Doe", ["Colin", "James"]),
        ("DOE^COLIN", "Doe", ["Colin", "James"]),
        ("DOE^COLIN JAMES", "Doe", ["Colin"]),
        ("GARCIA LOPEZ^JOSE", "García-López", ["José"]),
        ("ONEIL^MARY-ANN", "O'Neil", ["Mary", "Ann"]),
        ("ONEIL^MARYANN", "O’Neil", ["Mary Ann"]),
        ("MUELLER^JUERGEN", "Müller", ["Jürgen"]),
        ("MULLER^JURGEN", "Müller", ["Jürgen"]),
        ("SORENSEN^ASE", "Sørensen", ["Åse"]),
        ("SOERENSEN^AASE", "Sørensen", ["Åse"]),
        ("STRASSER^LUKASZ", "Straßer", ["Łukasz"]),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田", ["太郎"]),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ", ["たろう"]),
        ("=山田^太郎", "山田", ["太郎"]),
        ("SUKARNO", "Sukarno", []),
    ],
)
def test_knows_one_name_in_two_spellings(patient_name: str, family: str, given: list[str]) -> None:
    assert _reason(_named(family, *given), patient_name) is None


@pytest.mark.parametrize(
    ("patient_name", "family", "given"),
    [
        ("DOE^COLIN", "Roe", ["Colin"]),
        ("DOE^COLIN", "Doe", ["Alan"]),
        ("DOE^COLIN", "Doe", []),
        ("DOE^", "Doe", ["Colin"]),
        ("COLIN^DOE", "Doe", ["Colin"]),
        ("DOE^COLIN^JAMES", "Doe", ["Colin", "Peter"]),
        ("DOE^COL", "Doe", ["Colin"]),
        ("か^た", "が", ["た"]),
        ("", "Doe", ["Colin"]),
        ("^", "-", ["-"]),
        ("Yamada^Tarou=山田^太郎", "山本", ["太郎"]),
    ],
)
def test_tells_two_names_apart(patient_name: str, family: str, given: list[str]) -> None:
    assert _reason(_named(family, *given), patient_name) == "NAME-DIFFERS"


def test_any_of_the_records_names_will_do() -> None:
    maiden = {"family": "Roe", "given": ["Colin"], "use": "maiden"}
    assert _reason({**colin(), "name": [maiden, {"family": "Doe", "given": ["Colin"]}]}) is None


@pytest.mark.parametrize("text", ["Colin Doe", "DOE, Colin"])
def test_a_name_that_is_only_text_will_do(text: str) -> None:
    assert _reason(_named(None, text=text)) is None
    assert _reason(_named(None, text="Colin Roe")) == "NAME-DIFFERS"
    assert _reason({**colin(), "name": [{}]}) == "NAME-DIFFERS"


def test_a_record_without_a_name_is_a_doubt() -> None:
    patient = colin()
    del patient["name"]
    assert _reason(patient) == "NAME-DIFFERS"


@pytest.mark.parametrize(
    ("born", "reason"),
    [
        ("1969-05-17", None),
        ("1969-05-18", "BIRTH-DATE-DIFFERS"),
        ("1969-05", "BIRTH-DATE-UNKNOWN"),
        ("1969", "BIRTH-DATE-UNKNOWN"),
        ("", "BIRTH-DATE-UNKNOWN"),
    ],
)
def test_the_birth_date_is_the_same_to_the_day(born: str, reason: str | None) -> None:
    assert _reason({**colin(), "birthDate": born}) == reason


def test_a_study_without_a_birth_date_is_a_doubt() -> None:
    unknown = replace(IDENTITY, birth_date=None)
    assert contradiction(colin(), unknown) == "BIRTH-DATE-UNKNOWN"


@pytest.mark.parametrize(
    ("sex", "gender", "differs"),
    [
        ("M", "male", False),
        ("M", "female", True),
        ("F", "female", False),
        ("F", "male", True),
        ("O", "other", False),
        ("O", "male", True),
        ("M", "other", True),
        ("M", "unknown", False),
        ("M", None, False),
        (None, "female", False),
    ],
)
def test_the_sex_does_not_contradict(sex: str | None, gender: str | None, differs: bool) -> None:
    patient = {**colin(), "gender": gender}
    reason = contradiction(patient, replace(IDENTITY, sex=sex))
    assert reason == ("SEX-DIFFERS" if differs else None)

"""Studies and the patients that a record has for them: the right one, a wrong one, or a doubt."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from integrations.report import PatientIdentity

HOSPITAL, CLINIC = "GENERAL HOSPITAL", "LAKE CLINIC"
SYSTEMS = {HOSPITAL: "urn:oid:2.16.840.1.113883.19.5", CLINIC: "urn:oid:2.16.840.1.113883.19.6"}
ACCESSIONS = "urn:oid:2.16.840.1.113883.19.7"
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A study, what the record holds, and who it is.

    Parameters
    ----------
    holds
        Resources, each with an id of its own.
    right
        Logical reference of the study's patient; None when nothing may be read or written.
    """

    name: str
    study: PatientIdentity
    holds: tuple[Resource, ...]
    right: str | None
    accession: str | None = None


class _Cases:
    """Builds cases, each with numbers and ids of its own, so that all of them fit into one server."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    @property
    def mrn(self) -> str:
        return f"MRN{len(self.cases):04}"

    def id(self, name: str = "p") -> str:
        return f"case{len(self.cases)}-{name}"

    def person(self, family: str = "Muster", given: str = "Anna Maria", **changes: Any) -> Resource:
        """Give a Patient; `mrn` and `system` name its identifier, `names` its names."""
        mrn, system = changes.pop("mrn", self.mrn), changes.pop("system", SYSTEMS[HOSPITAL])
        names = changes.pop("names", [{"family": family, "given": given.split()}])
        return {
            "resourceType": "Patient",
            "id": self.id(changes.pop("name", "p")),
            "identifier": [{"system": system, "value": mrn}],
            "name": names,
            "gender": "female",
            "birthDate": "1964-08-12",
            **changes,
        }

    def order(self, subject: str, name: str = "order", **changes: Any) -> Resource:
        """Give the ServiceRequest of the case's accession number."""
        return {
            "resourceType": "ServiceRequest",
            "id": self.id(name),
            "identifier": [{"system": ACCESSIONS, "value": f"ACC{len(self.cases)}"}],
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/{self.id(subject)}"},
            **changes,
        }

    def add(self, name: str, *holds: Resource, right: str | None = None, **study: Any) -> None:
        """Add a case; `study` changes the study's identity, `accession=True` gives it the case's number."""
        accession = f"ACC{len(self.cases)}" if study.pop("accession", False) else None
        identity = PatientIdentity(
            patient_id=self.mrn,
            issuer_of_patient_id=HOSPITAL,
            patient_name="MUSTER^ANNA MARIA",
            birth_date=date(1964, 8, 12),
            sex="F",
        )
        self.cases.append(
            Case(
                name=name,
                study=replace(identity, **study),
                holds=holds,
                right=None if right is None else f"Patient/{self.id(right)}",
                accession=accession,
            )
        )


def cases() -> list[Case]:
    """Give every case, the wrong ones first."""
    made = _Cases()
    for build in (_others, _numbers, _merges, _orders, _wrong_names, _right, _right_names):
        build(made)
    return made.cases


def _replaced(by: str) -> Resource:
    return {"link": [{"type": "replaced-by", "other": {"reference": by}}]}


def _others(to: _Cases) -> None:
    """Add wrong people behind the right number."""
    to.add("nobody", to.person(mrn="ELSE"))
    to.add("twin of the same sex", to.person(given="Berta Maria"))
    to.add("twin brother", to.person(given="Anton", gender="male"))
    twin: Resource = {"multipleBirthBoolean": True}
    to.add("twin, told apart by the second name", to.person(given="Anna Sophie", **twin))
    to.add("twin, second name unknown", to.person(given="Anna", **twin))
    unnamed: Resource = {"multipleBirthInteger": 2}
    to.add(
        "unnamed twin",
        to.person(given="Baby Girl", **unnamed),
        patient_name="MUSTER^BABY GIRL^A",
    )
    to.add("mother and daughter", to.person(birthDate="1994-08-12"))
    to.add("day and month swapped", to.person(birthDate="1964-12-08"))
    to.add("one day later", to.person(birthDate="1964-08-13"))
    to.add("a century later", to.person(birthDate="2064-08-12"))
    to.add("birth year only in the record", to.person(birthDate="1964"))
    to.add("birth month only in the record", to.person(birthDate="1964-08"))
    nameless = to.person()
    del nameless["birthDate"]
    to.add("no birth date in the record", nameless)
    to.add("no birth date in the study", to.person(), birth_date=None)
    to.add("other sex", to.person(gender="male"))
    to.add("other family name", to.person(family="Beispiel"))
    to.add("family and given name swapped", to.person(family="Anna Maria", given="Muster"))
    to.add("no name in the study", to.person(), patient_name="")
    to.add("no name in the record", to.person(names=[]))
    to.add("trauma alias", to.person(), patient_name="TRAUMA^UNKNOWN FEMALE")
    to.add("inactive", to.person(active=False))


def _numbers(to: _Cases) -> None:
    """Add right people behind numbers that are not theirs alone."""
    to.add("missing issuer", to.person(), issuer_of_patient_id=None)
    to.add("unknown issuer", to.person(), issuer_of_patient_id="FAR AWAY")
    to.add("issuer in another case", to.person(), issuer_of_patient_id="General Hospital")
    to.add("missing number", to.person(), patient_id="")
    to.add("the same number of another issuer", to.person(system=SYSTEMS[CLINIC]))
    to.add("a number without system", to.person(system="urn:oid:2.16.840.1.113883.19.99"))
    to.add("number with a leading zero", to.person(mrn=f"0{to.mrn}"))
    to.add("number with a suffix", to.person(mrn=f"{to.mrn}A"))
    to.add("two people with one number", to.person(), to.person(name="q", family="Beispiel"))
    to.add("one person twice with one number", to.person(), to.person(name="q"))
    to.add(
        "number reused, old owner active", to.person(birthDate="1920-01-01"), to.person(name="q")
    )
    to.add("wildcard as number", to.person(mrn="ANY"), patient_id="*")
    to.add("list as number", to.person(), patient_id=f"{to.mrn},ELSE")


def _merges(to: _Cases) -> None:
    """Add records that were merged, unmerged or merged wrongly."""
    p, q = to.id("p"), to.id("q")
    to.add("merged in a circle", to.person(**_replaced(f"Patient/{p}")))
    p, q = to.id("p"), to.id("q")
    to.add(
        "merged in a circle of two",
        to.person(**_replaced(f"Patient/{q}")),
        to.person(name="q", mrn="ELSE", **_replaced(f"Patient/{p}")),
    )
    q = to.id("q")
    to.add(
        "merged number, survivor is somebody else",
        to.person(active=False, **_replaced(f"Patient/{q}")),
        to.person(name="q", mrn="ELSE", birthDate="1950-01-01"),
    )
    q = to.id("q")
    to.add(
        "merged number, survivor inactive",
        to.person(active=False, **_replaced(f"Patient/{q}")),
        to.person(name="q", mrn="ELSE", active=False),
    )
    q, r = to.id("q"), to.id("r")
    both = [*_replaced(f"Patient/{q}")["link"], *_replaced(f"Patient/{r}")["link"]]
    to.add(
        "merged into two",
        to.person(link=both),
        to.person(name="q", mrn="Q"),
        to.person(name="r", mrn="R"),
    )
    elsewhere = f"http://elsewhere.test/fhir/Patient/{to.id('q')}"
    to.add(
        "merged into a record of another server",
        to.person(**_replaced(elsewhere)),
        to.person(name="q", mrn="ELSE"),
    )


def _orders(to: _Cases) -> None:
    """Add orders of somebody else."""
    other = to.person(name="q", mrn="ELSE", family="Beispiel")
    to.add("accession of somebody else", to.person(), other, to.order("q"), accession=True)
    twin = to.person(name="q", mrn="ELSE", given="Berta")
    to.add("accession of the twin", to.person(), twin, to.order("q"), accession=True)
    namesake = to.person(name="q", mrn="ELSE")
    to.add("accession of a namesake", to.person(), namesake, to.order("q"), accession=True)
    other = to.person(name="q", mrn="ELSE", family="Beispiel")
    to.add(
        "one accession of two people",
        to.person(),
        other,
        to.order("p"),
        to.order("q", "order2"),
        accession=True,
    )
    r = to.id("r")
    to.add(
        "accession of a record merged into somebody else",
        to.person(),
        to.person(name="q", mrn="ELSE", active=False, **_replaced(f"Patient/{r}")),
        to.person(name="r", mrn="R", family="Beispiel"),
        to.order("q"),
        accession=True,
    )


def _wrong_names(to: _Cases) -> None:
    """Add people of another name, in many scripts."""
    for name, patient_name, names in WRONG_NAMES:
        to.add(f"other person: {name}", to.person(names=names), patient_name=patient_name)


def _name(family: str, *given: str) -> Resource:
    return {"family": family, "given": list(given)}


WRONG_NAMES: tuple[tuple[str, str, list[Resource]], ...] = (
    (
        "same kana, other kanji",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        [_name("山田", "太朗"), _name("やまだ", "たろう")],
    ),
    (
        "same kanji, other kana",
        "=山田^翔=やまだ^しょう",
        [_name("山田", "翔"), _name("やまだ", "かける")],
    ),
    ("voiced kana", "かた^けい", [_name("がた", "けい")]),
    ("same pinyin, other Han", "Wang^Wei=王^伟", [_name("王", "薇"), _name("Wang", "Wei")]),
    ("Hangul", "Kim^Minsu=김^민수", [_name("김", "민서")]),
    ("Cyrillic short i", "Иван^Андрей", [_name("Иван", "Андреи")]),
    ("Greek", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΓΕΩΡΓΙΟΣ", [_name("Παπαδόπουλος", "Γρηγόριος")]),
    ("Arabic", "محمد^علي", [_name("محمود", "علي")]),
    ("Hebrew", "כהן^דוד", [_name("כהן", "דויד")]),
    ("no script in common", "Иванов^Иван", [_name("Ivanov", "Ivan")]),
    ("initial only", "MUSTER^A", [_name("Muster", "Anna Maria")]),
    ("umlaut is another letter", "MULLER^ANNA", [_name("Möller", "Anna")]),
)


def _right(to: _Cases) -> None:
    """Add the study's patient, in all the ways in which records write it."""
    to.add("as it is", to.person(), right="p")
    to.add("second name left out in the record", to.person(given="Anna"), right="p")
    to.add("second name left out in the study", to.person(), right="p", patient_name="MUSTER^ANNA")
    to.add("title and suffix", to.person(), right="p", patient_name="MUSTER^ANNA^MARIA^DR^JR")
    to.add(
        "married since", to.person(names=[_name("Neu", "Anna"), _name("Muster", "Anna")]), right="p"
    )
    to.add("sex unknown in the record", to.person(gender="unknown"), right="p")
    to.add("sex missing in the study", to.person(), right="p", sex=None)
    to.add("twin with all names", to.person(multipleBirthBoolean=True), right="p")
    to.add("explicitly active", to.person(active=True), right="p")
    to.add(
        "the other issuer's number",
        to.person(system=SYSTEMS[CLINIC]),
        right="p",
        issuer_of_patient_id=CLINIC,
    )
    to.add(
        "the number also of another issuer's patient",
        to.person(),
        to.person(name="q", system=SYSTEMS[CLINIC], family="Beispiel"),
        right="p",
    )
    q = to.id("q")
    to.add(
        "merged number",
        to.person(active=False, **_replaced(f"Patient/{q}")),
        to.person(name="q", mrn="ELSE"),
        right="q",
    )
    q, r = to.id("q"), to.id("r")
    to.add(
        "merged twice",
        to.person(active=False, **_replaced(f"Patient/{q}")),
        to.person(name="q", mrn="Q", active=False, **_replaced(f"Patient/{r}")),
        to.person(name="r", mrn="R"),
        right="r",
    )
    q = to.id("q")
    to.add(
        "merged, and the survivor has the old number too",
        to.person(active=False, **_replaced(f"Patient/{q}")),
        to.person(name="q"),
        right="q",
    )
    to.add("an old record beside it", to.person(), to.person(name="q", active=False), right="p")
    to.add("with its order", to.person(), to.order("p"), right="p", accession=True)
    to.add("with an accession that has no order", to.person(), right="p", accession=True)
    q = to.id("q")
    to.add(
        "with an order of the replaced record",
        to.person(),
        to.person(name="q", mrn="ELSE", active=False, **_replaced(f"Patient/{to.id('p')}")),
        to.order("q"),
        right="p",
        accession=True,
    )
    other = to.person(name="q", mrn="ELSE", family="Beispiel")
    wrong = to.order("q", status="entered-in-error")
    to.add("another's order was an error", to.person(), other, wrong, right="p", accession=True)
    placer: Resource = {
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.8", "value": f"ACC{len(to.cases)}"}]
    }
    other = to.person(name="q", mrn="ELSE", family="Beispiel")
    to.add(
        "the same number is another's placer number",
        to.person(),
        other,
        to.order("q", **placer),
        right="p",
        accession=True,
    )


def _right_names(to: _Cases) -> None:
    """Add the study's patient in another spelling, in many scripts."""
    for name, patient_name, names in RIGHT_NAMES:
        to.add(f"spelling: {name}", to.person(names=names), right="p", patient_name=patient_name)


RIGHT_NAMES: tuple[tuple[str, str, list[Resource]], ...] = (
    ("umlaut spelt out", "MUELLER^JUERGEN", [_name("Müller", "Jürgen")]),
    ("umlaut left out", "MULLER^JURGEN", [_name("Müller", "Jürgen")]),
    ("Polish", "WALESA^LUKASZ", [_name("Wałęsa", "Łukasz")]),
    ("Danish", "SOERENSEN^AASE", [_name("Sørensen", "Åse")]),
    ("Vietnamese", "NGUYEN^THI DIEU", [_name("Nguyễn", "Thị", "Diệu")]),
    ("Turkish", "YILDIZ^IPEK", [_name("Yıldız", "İpek")]),
    ("Irish apostrophe", "ONEILL^MARY ANN", [_name("O’Neill", "Mary-Ann")]),
    ("double name", "GARCIA LOPEZ^JOSE", [_name("García-López", "José")]),
    ("all in the first component", "ANNA MUSTER", [_name("Muster", "Anna")]),
    ("text only", "MUSTER^ANNA", [{"text": "Muster, Anna"}]),
    ("kanji", "Yamada^Tarou=山田^太郎=やまだ^たろう", [_name("山田", "太郎")]),
    (
        "kanji and katakana",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        [_name("山田", "太郎"), _name("ヤマダ", "タロウ")],
    ),
    ("half-width katakana", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", [_name("やまだ", "たろう")]),
    ("Han", "Wang^XiaoDong=王^小东", [_name("王", "小东")]),
    ("Hangul, decomposed", "Hong^Gildong=洪^吉洞=홍^길동", [_name("홍", "길동")]),
    ("Hangul as text", "Hong^Gildong=洪^吉洞=홍^길동", [{"text": "홍길동"}]),
    ("Cyrillic", "ИВАНОВ^АЛЁНА", [_name("Иванов", "Алена")]),
    ("Ukrainian", "КОВАЛЬ^ЇВГА", [_name("Коваль", "Ївга")]),
    (
        "Greek capitals without accents",
        "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΓΕΩΡΓΙΟΣ",
        [_name("Παπαδόπουλος", "Γεώργιος")],
    ),
    ("Arabic with vowels", "مُحَمَّد^أَحْمَد", [_name("محمد", "احمد")]),
    ("Arabic, Egyptian and Persian keys", "علی^فاطمه", [_name("علي", "فاطمة")]),
    ("Hebrew with points", "כֹּהֵן^דָּוִד", [_name("כהן", "דוד")]),
    ("Devanagari", "Sharma^Ravi=शर्मा^रवि", [_name("शर्मा", "रवि")]),
    ("Thai", "ใจดี^สมชาย", [_name("ใจดี", "สมชาย")]),
    ("Latin and another script", "Ivanov^Ivan=Иванов^Иван", [_name("Ivanov", "Ivan")]),
)


def wrong() -> Iterator[Case]:
    """Give the cases in which nothing may be read or written."""
    return (case for case in cases() if case.right is None)


def right() -> Iterator[Case]:
    """Give the cases in which the study's patient is there beyond doubt."""
    return (case for case in cases() if case.right is not None)

"""Whether two spellings are one person's name.

Two systems spell one person differently, so names are compared by what is left without case, diacritics and
punctuation, each script by its own custom. Names of one script are compared with each other: who has the same
phonetic name and other ideographs is somebody else. Nothing is transliterated.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.fhir.elements import text, texts

_SPELT = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "å": "a", "ı": "i"})
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
"""The custom of systems that knew no diacritics: ``MUELLER`` is ``Müller``."""

_DIACRITICS = range(0x0300, 0x0370)
"""Combining Diacritical Marks: left out where they make a spelling, kept where they make a letter (й)."""
_ACCENTED = frozenset({"LATIN", "GREEK"})

_POINTS = frozenset({"ARABIC", "HEBREW"})
"""Scripts whose marks (harakat, niqqud, and hamza and madda on their carrier) most systems leave out."""

_ONE_LETTER = str.maketrans({"ё": "е", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه"} | {"ـ": None})
"""Letters that keyboards and customs exchange (Russian, Egyptian, Persian), and the tatweel, which is none."""

_KANA = str.maketrans({chr(ord("ァ") + number): chr(ord("ぁ") + number) for number in range(86)})
"""Katakana as hiragana: the phonetic group is written in either (PS3.5 H.3)."""

_SCRIPTS = {
    "LATIN": "LATIN",
    "GREEK": "GREEK",
    "CYRILLIC": "CYRILLIC",
    "ARABIC": "ARABIC",
    "HEBREW": "HEBREW",
    "CJK": "HAN",
    "IDEOGRAPHIC": "HAN",  # 々
    "HIRAGANA": "KANA",
    "KATAKANA": "KANA",
    "HALFWIDTH": "KANA",
    "HANGUL": "HANGUL",
    "DEVANAGARI": "DEVANAGARI",
    "THAI": "THAI",
}
"""First word of a letter's Unicode name, and its script; every other word is a script of its own."""


@dataclass(frozen=True, slots=True)
class _Name:
    """One way of writing a name: `family` is empty where only a text is known."""

    family: str
    given: str
    text: str

    @property
    def script(self) -> str:
        """The script of the family name, or of the text."""
        return _script(self.family or self.text)


def same_name(
    human_names: Sequence[Mapping[str, Any]], patient_name: str, *, whole: bool = False
) -> bool:
    """Whether a DICOM name (PS3.5 6.2.1) is the record's.

    Parameters
    ----------
    human_names
        ``Patient.name``; any of them will do, also a maiden name.
    patient_name
        Patient's Name (0010,0010), its component groups divided by ``=``.
    whole
        No given name may be left out on either side.

    Returns
    -------
    bool
        One name is equal, and in each script that both sides write some name is.
    """
    ours = list(_groups(patient_name))
    theirs = [name for name in map(_record_name, human_names) if name.family or name.text]
    shared = {one.script for one in ours} & {one.script for one in theirs} - {""}
    return bool(shared) and all(
        any(
            _one_name(mine, other, whole)
            for mine in ours
            for other in theirs
            if mine.script == other.script == script
        )
        for script in shared
    )


def _groups(patient_name: str) -> Iterator[_Name]:
    """Read each component group: alphabetic, ideographic, phonetic."""
    for group in patient_name.split("="):
        family, given, middle, *_ = [*group.split("^"), "", "", ""]
        if family.strip() or given.strip():
            # some systems put the whole name into the first component
            unparted = group if "^" not in group and " " in group.strip() else ""
            yield _Name(family, f"{given} {middle}", unparted)


def _record_name(name: Mapping[str, Any]) -> _Name:
    return _Name(text(name, "family"), " ".join(texts(name, "given")), text(name, "text"))


def _one_name(ours: _Name, theirs: _Name, whole: bool) -> bool:
    if not theirs.family:
        return bool(_forms(theirs.text) & _either_order(ours) - {""})
    if ours.text:
        return bool(_forms(ours.text) & _either_order(theirs) - {""})
    same_family = bool(_forms(ours.family) & _forms(theirs.family) - {""})
    return same_family and _same_given(ours.given, theirs.given, whole)


def _either_order(name: _Name) -> set[str]:
    return _forms(name.given + name.family) | _forms(name.family + name.given)


def _same_given(ours: str, theirs: str, whole: bool) -> bool:
    """Compare given names; second names may be left out on either side, because they often are."""
    if _forms(ours) & _forms(theirs):
        return True
    pairs = list(zip(_words(ours), _words(theirs), strict=False))
    return not whole and bool(pairs) and all(_forms(one) & _forms(other) for one, other in pairs)


def _words(given: str) -> list[str]:
    return [word for word in given.replace("-", " ").split() if _forms(word) != {""}]


def _forms(written: str) -> set[str]:
    """Both ways of writing a name without diacritics, letters only."""
    folded = (
        unicodedata.normalize("NFKC", written).casefold().translate(_ONE_LETTER).translate(_KANA)
    )
    return {_letters(folded.translate(_SPELT)), _letters(folded.translate(_SPELT_OUT))}


def _letters(folded: str) -> str:
    """Leave out diacritics, spaces, hyphens, apostrophes and every other punctuation."""
    return "".join(
        letter
        for whole in unicodedata.normalize("NFC", folded.translate(_SPELT))
        for letter in _without_marks(whole)
        if unicodedata.category(letter)[0] in "LMN"
    )


def _without_marks(letter: str) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    script = _script(letter)
    if script in _POINTS:
        return "".join(part for part in parts if unicodedata.category(part) != "Mn")
    if script in _ACCENTED or not script:
        return "".join(part for part in parts if ord(part) not in _DIACRITICS)
    return parts


def _script(written: str) -> str:
    """Script of the first letter or mark; empty when there is none."""
    for letter in unicodedata.normalize("NFKC", written):
        if unicodedata.category(letter)[0] in "LM" and ord(letter) not in _DIACRITICS:
            word = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
            return _SCRIPTS.get(word, word)
    return ""

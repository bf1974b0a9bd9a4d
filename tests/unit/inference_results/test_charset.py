import pytest

from inference.results.charset import decode

KANJI = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
KANJI_TEXT = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("value", "character_set", "text"),
    [
        pytest.param(b"Doe^Jane", [], "Doe^Jane", id="ASCII"),
        pytest.param(KANJI, ["", "ISO 2022 IR 87"], KANJI_TEXT, id="Japanese, empty first value"),
        pytest.param(KANJI, ["ISO 2022 IR 87"], KANJI_TEXT, id="Japanese, stand-alone"),
        pytest.param(KANJI, [], KANJI_TEXT, id="Japanese, not named at all"),
        pytest.param(KANJI, ["ISO_2022_IR_87"], KANJI_TEXT, id="Japanese, misspelt"),
        pytest.param(
            b"\x1b$B=(\x1b(B^\x1b$B<y\x1b(B", ["", "ISO 2022 IR 87"], "秀^樹", id="= within a kanji"
        ),
        pytest.param(
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            ["ISO 2022 IR 149"],
            "Hong^Gildong=洪^吉洞",
            id="Korean, stand-alone",
        ),
        pytest.param("王^小东".encode("gb18030"), ["GB18030"], "王^小东", id="Chinese"),
        pytest.param(
            "Πέτρου^Ελένη".encode("iso8859_7"), ["ISO_IR 126"], "Πέτρου^Ελένη", id="Greek"
        ),
        pytest.param("Люксембург".encode("iso8859_5"), ["ISO_IR 144"], "Люксембург", id="Cyrillic"),
        pytest.param("Buc^Jérôme".encode("latin-1"), ["ISO_IR 100"], "Buc^Jérôme", id="Latin-1"),
        pytest.param("Buc^Jérôme".encode("latin-1"), [], "Buc^Jérôme", id="Latin-1, not named"),
        pytest.param("Buc^Jérôme".encode(), [], "Buc^Jérôme", id="UTF-8, not named"),
        pytest.param(
            "Buc^Jérôme".encode("latin-1"), ["ISO_IR 192"], "Buc^Jérôme", id="Latin-1, named UTF-8"
        ),
        pytest.param("Buc^Jérôme".encode(), ["ISO_IR 999"], "Buc^Jérôme", id="unknown set"),
        pytest.param(
            b"Dionysios=\x1b-F\xc4\xe9\xef\xed\xf5\xf3\xdf\xef\xf2^\xe9",
            ["ISO 2022 IR 100", "ISO 2022 IR 126"],
            "Dionysios=Διονυσίος^é",
            id="^ ends a code extension",
        ),
    ],
)
def test_names_are_decoded_whatever_the_character_set_says(
    value: bytes, character_set: list[str], text: str
) -> None:
    assert decode(value, character_set, person_name=True) == text


def test_padding_is_no_part_of_a_value() -> None:
    assert decode(b"Head \0", []) == "Head"

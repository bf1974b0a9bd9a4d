import re
import uuid

import pytest

from inference.uids import derived_uid

VALID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def test_the_same_parts_give_the_same_uid_and_others_another() -> None:
    assert derived_uid("1.2.3", "seg") == derived_uid("1.2.3", "seg")
    assert derived_uid("1.2.3", "seg") != derived_uid("1.2.3", "sr")


def test_borders_between_parts_count() -> None:
    assert derived_uid("ab", "c") != derived_uid("a", "bc")
    assert derived_uid("ab", "") != derived_uid("ab")


def test_under_the_uuid_root_it_is_a_valid_uuid_in_decimal() -> None:
    uid = derived_uid("1.2.3", "seg")
    parsed = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert parsed.version == 8
    assert parsed.variant == uuid.RFC_4122


@pytest.mark.parametrize("root", ["2.25", "1.2.826.0.1.3680043.10.1234", "1." + "9" * 41])
def test_every_root_keeps_to_64_characters_and_has_no_leading_zero(root: str) -> None:
    for number in range(200):
        uid = derived_uid(str(number), root=root)
        assert len(uid) <= 64
        assert VALID.fullmatch(uid)
        assert uid.startswith(root + ".")


def test_a_root_too_long_and_nothing_to_derive_from_are_refused() -> None:
    with pytest.raises(ValueError, match="43 characters"):
        derived_uid("1", root="1." + "9" * 42)
    with pytest.raises(ValueError, match="at least one part"):
        derived_uid()

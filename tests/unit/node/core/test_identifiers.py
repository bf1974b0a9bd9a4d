import hashlib
import random
from typing import Any

import pytest

from node.core import identifiers
from node.core.identifiers import input_digest, is_uid, new_uid
from tests.unit.node.samples import dicom, digest_of


@pytest.mark.parametrize("text", ["1.2", "0.0", "1.2.840.10008.1.2", "2.25.0", "1." + "2" * 62])
def test_uids(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "1",
        "1.",
        ".1",
        "1..2",
        "1.02",
        "01.2",
        "1." + "2" * 63,
        "1.2\n",
        "1.2\0",
        "1.2 ",
        " 1.2",
        "1.-2",
        "1.2/../../etc/passwd",
        "../1.2",
        "1.2/3",
        "1.2\\3",
        "1.٢",
        "1.²",
        "1.a",
    ],
)
def test_what_is_no_uid_becomes_no_path(text: str) -> None:
    assert not is_uid(text)


def test_new_uids_are_uids_and_new() -> None:
    uids = {new_uid() for _ in range(100)}
    assert len(uids) == 100
    assert all(is_uid(uid) and uid.startswith("2.25.") for uid in uids)


def test_the_digest_is_that_of_the_data_set_alone() -> None:
    data = dicom()
    start = data.index(b"DICM") + 4
    group_length = int.from_bytes(data[start + 8 : start + 12], "little")
    body = data[start + 12 + group_length :]
    assert digest_of(data) == hashlib.sha256(body).hexdigest()
    assert digest_of(b"\1" * 128 + data[128:]) == digest_of(data)
    assert digest_of(data[:-1] + b"\xff") != digest_of(data)


def test_the_digest_of_inputs_knows_no_order_and_every_content() -> None:
    inputs = [(f"1.2.{i}", f"{i:064d}") for i in range(20)]
    shuffled = random.Random(7).sample(inputs, len(inputs))  # noqa: S311 - an order, not a secret
    assert input_digest(shuffled) == input_digest(inputs)
    assert input_digest(inputs[:-1]) != input_digest(inputs)
    assert input_digest([*inputs[:-1], ("1.2.19", "f" * 64)]) != input_digest(inputs)


def test_each_part_of_the_question_makes_another_job() -> None:
    asked: dict[str, Any] = {
        "study_instance_uid": "1.2",
        "model": "brain",
        "version": "1",
        "digest": "d",
        "request": 0,
    }
    first = identifiers.job_id(**asked)
    assert identifiers.job_id(**asked) == first
    others = {
        identifiers.job_id(**{**asked, key: other})
        for key, other in [
            ("study_instance_uid", "1.3"),
            ("model", "liver"),
            ("version", "2"),
            ("digest", "e"),
            ("request", 1),
        ]
    }
    assert len(others | {first}) == 6

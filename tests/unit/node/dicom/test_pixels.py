from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from node.core.study import Header
from node.dicom.pixels import compare
from tests.unit.node.samples import dicom

PIXELS: dict[str, Any] = {"BitsAllocated": 8, "PixelData": b"\1\2" * 8}


@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = tmp_path / "held.dcm"
    path.write_bytes(dicom(**PIXELS))
    return path


def compared(held: Path, arriving: bytes) -> tuple[Header, bool | None] | None:
    return compare(held, BytesIO(arriving))


def test_another_head_before_the_compare(held: Path) -> None:
    longer = dicom(**PIXELS, PatientName="Longer^Than Before", WindowCenter="40")
    found = compared(held, longer)
    assert found is not None
    header, same = found
    assert same is True
    assert header.values["PatientName"] == "Muster^Erika"


def test_other_pixels(held: Path) -> None:
    found = compared(held, dicom(**{**PIXELS, "PixelData": b"\1\3" * 8}))
    assert found is not None
    assert found[1] is False


def test_a_file_that_is_gone_cannot_be_compared(tmp_path: Path) -> None:
    assert compared(tmp_path / "gone", dicom(**PIXELS)) is None


def test_what_is_no_dicom_cannot_be_compared(held: Path) -> None:
    assert compared(held, b"nothing") is None

"""The table of C-STORE statuses (PS3.4 Table B.2-1, PS3.7 Annex C)."""

from pathlib import Path

import pytest

from integrations.errors import Refused, Unavailable
from integrations.pacs.delivery import require_stored
from integrations.report import Instance

_INSTANCE = Instance(
    sop_class_uid="2.25.1",
    sop_instance_uid="2.25.2",
    series_instance_uid="2.25.3",
    transfer_syntax_uid="2.25.4",
    path=Path("2.25.2.dcm"),
)


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0001, 0x0107, 0x0116, 0x0111])
def test_stored(status: int) -> None:
    require_stored(status, _INSTANCE, "the archive")


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0110, 0x0213])
def test_may_be_stored_later(status: int) -> None:
    with pytest.raises(Unavailable):
        require_stored(status, _INSTANCE, "the archive")


@pytest.mark.parametrize(
    "status", [0x0122, 0x0124, 0x0117, 0xA800, 0xA900, 0xA9FF, 0xC000, 0xCFFF, 0xFE00]
)
def test_is_never_stored(status: int) -> None:
    with pytest.raises(Refused) as refused:
        require_stored(status, _INSTANCE, "the archive")
    assert refused.value.reason == f"PACS-{status:04X}"

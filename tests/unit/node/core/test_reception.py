from dataclasses import replace
from typing import Any

import pytest

from node.core.reception import Version, classify
from node.core.study import Outcome
from tests.unit.node.samples import PATIENT, SERIES, STUDY, plane

EXPLICIT, JPEG_LS, JPEG = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.50",
)
HELD = Version(
    digest="a",
    transfer_syntax_uid=EXPLICIT,
    series_instance_uid=SERIES,
    study_instance_uid=STUDY,
    values={**PATIENT, **plane(1)},
)
CORRECTED: dict[str, Any] = {"values": {**HELD.values, "PatientID": "OVR-7"}}
MOVED: dict[str, Any] = {"values": {**HELD.values, **plane(2)}}


@pytest.mark.parametrize(
    ("changes", "same_pixels", "outcome"),
    [
        ({"digest": "a"}, True, Outcome.DUPLICATE),
        ({}, True, Outcome.DUPLICATE),  # other attributes, such as a PACS adds
        ({}, False, Outcome.CONFLICT),
        ({}, None, Outcome.CONFLICT),  # one syntax, and yet nothing to compare: the file is gone
        (CORRECTED, True, Outcome.CORRECTION),
        (CORRECTED, False, Outcome.CONFLICT),
        (MOVED, True, Outcome.CONFLICT),
        ({"series_instance_uid": "2.25.9"}, True, Outcome.CONFLICT),
        ({"study_instance_uid": "2.25.9"}, True, Outcome.CONFLICT),
        ({"transfer_syntax_uid": JPEG_LS}, None, Outcome.DUPLICATE),
        ({"transfer_syntax_uid": JPEG_LS, **CORRECTED}, None, Outcome.CORRECTION),
        ({"transfer_syntax_uid": JPEG_LS, **MOVED}, None, Outcome.CONFLICT),
        ({"transfer_syntax_uid": JPEG}, None, Outcome.CONFLICT),
    ],
)
def test_what_comes_under_a_known_uid(
    changes: dict[str, Any], same_pixels: bool | None, outcome: Outcome
) -> None:
    arriving = replace(HELD, **{"digest": "b", **changes})
    assert classify(HELD, arriving, same_pixels) is outcome

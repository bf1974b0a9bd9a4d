from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from node.dicom.command_set import StoreRequest, encode_response, read_request
from node.errors import NotUnderstood
from tests.unit.node.samples import MR

REQUEST = StoreRequest(message_id=7, sop_class_uid=MR, sop_instance_uid="2.25.3001")


def by_pynetdicom() -> bytes:
    """Return a C-STORE-RQ's command set, encoded by pynetdicom."""
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = MR
    primitive.AffectedSOPInstanceUID = "2.25.3001"
    primitive.Priority = 2
    primitive.DataSet = BytesIO(b"\0\0")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    (pdata, *_) = message.encode_msg(1, 16384)
    return bytes(pdata.presentation_data_value_list[0][1][1:])


def read_back(encoded: bytes) -> Dataset:
    return dcmread(BytesIO(encoded), force=True)


def test_a_request_as_pynetdicom_sends_it() -> None:
    assert read_request(by_pynetdicom()) == REQUEST


def test_a_response_says_whom_it_answers() -> None:
    encoded = encode_response(REQUEST, 0xA700)
    elements = {int(element.tag): element.value for element in read_back(encoded)}
    assert elements[0x00000002] == MR
    assert elements[0x00000100] == 0x8001
    assert elements[0x00000120] == 7
    assert elements[0x00000800] == 0x0101
    assert elements[0x00000900] == 0xA700
    assert elements[0x00001000] == "2.25.3001"
    assert elements[0x00000000] == len(encoded) - 12


def test_another_command_is_not_ours() -> None:
    primitive = C_ECHO()
    primitive.MessageID = 1
    primitive.AffectedSOPClassUID = "1.2.840.10008.1.1"
    message = C_ECHO_RQ()
    message.primitive_to_message(primitive)
    (pdata, *_) = message.encode_msg(1, 16384)
    assert read_request(bytes(pdata.presentation_data_value_list[0][1][1:])) is None


@pytest.mark.parametrize("cut", [1, 5, 13, 30])
def test_a_command_set_that_breaks_off(cut: int) -> None:
    with pytest.raises(NotUnderstood):
        read_request(by_pynetdicom()[:-cut])


def test_bytes_that_are_no_command_set() -> None:
    with pytest.raises(NotUnderstood):
        read_request(b"\xff" * 64)


def test_a_uid_that_is_no_text_is_answered_as_it_can_be() -> None:
    odd = StoreRequest(message_id=1, sop_class_uid="1.2\ufffd", sop_instance_uid="")
    assert len(encode_response(odd, 0xC000)) % 2 == 0

"""An archive that takes a SOP class, and not the transfer syntax in which its object is stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from integrations.errors import SyntaxRefused
from integrations.pacs.peer import DicomPeer
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from integrations.pacs.trial_object import SECONDARY_CAPTURE
from integrations.report import Instance
from tests.peers.dcmtk import compress_jpegls
from tests.peers.receiver import running_receiver
from tests.unit.integrations.samples import report, write_instances

pytestmark = pytest.mark.peers

OF = report(61)
PIXELS = (np.arange(64 * 64) % 251).astype("uint8").reshape(64, 64)
NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def picture(folder: Path, syntax: str) -> Instance:
    """Write a picture of a few values in a transfer syntax."""
    (made, *_) = write_instances(folder, OF)
    dataset = dcmread(made.path)
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.Rows, dataset.Columns = PIXELS.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB", PIXELS.tobytes())
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax != JPEGLSLossless:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(made.path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    if syntax == JPEGLSLossless:
        compress_jpegls(made.path, made.path)
    return replace(made, sop_class_uid=SECONDARY_CAPTURE, transfer_syntax_uid=syntax)


STORED = [*NATIVE, DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless]
SHORT = [(ExplicitVRLittleEndian, ImplicitVRLittleEndian), (RLELossless, ExplicitVRLittleEndian)]
CASES = [
    pytest.param(
        stored,
        taken,
        id=f"{stored.name} to {taken.name}",
        marks=[] if (stored, taken) in SHORT else [pytest.mark.long],
    )
    for stored in STORED
    for taken in NATIVE
]


@pytest.mark.parametrize(("stored", "taken"), CASES)
def test_it_is_sent_in_what_was_accepted_and_is_the_same(
    tmp_path: Path, stored: str, taken: str
) -> None:
    one = picture(tmp_path, stored)
    before = one.path.read_bytes()
    with running_receiver(tmp_path / "archive", syntaxes=[taken]) as receiver:
        peer = DicomPeer(ae_title=receiver.ae_title, host="127.0.0.1", port=receiver.port)
        receipt = StorageDestination(peer, DicomArchiveIndex(peer)).deliver(
            OF, [one], in_doubt=frozenset(), progress=lambda _uid, _state: None
        )
        (arrived,) = receiver.received
        held = dcmread(receiver.stored[one.sop_instance_uid])
    assert receipt.confirmed
    assert arrived.transfer_syntax_uid == taken
    assert np.array_equal(held.pixel_array, PIXELS)
    assert held.SOPInstanceUID == one.sop_instance_uid
    assert held.PatientName == OF.study.patient.patient_name
    assert one.path.read_bytes() == before


def test_what_is_accepted_as_it_is_stays_as_it_is(tmp_path: Path) -> None:
    one = picture(tmp_path, RLELossless)
    with running_receiver(tmp_path / "archive") as receiver:
        peer = DicomPeer(ae_title=receiver.ae_title, host="127.0.0.1", port=receiver.port)
        StorageDestination(peer, None).deliver(
            OF, [one], in_doubt=frozenset(), progress=lambda _uid, _state: None
        )
        assert receiver.received[0].transfer_syntax_uid == RLELossless


def test_what_cannot_be_decoded_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    whole = write_instances(tmp_path, OF, uids=("7", "8"))[1]
    broken = picture(tmp_path, RLELossless)
    dataset = dcmread(broken.path)
    dataset.PixelData = dataset.PixelData[:20]
    dataset.save_as(broken.path)
    with running_receiver(tmp_path / "archive", syntaxes=NATIVE) as receiver:
        peer = DicomPeer(ae_title=receiver.ae_title, host="127.0.0.1", port=receiver.port)
        with pytest.raises(SyntaxRefused) as refused:
            StorageDestination(peer, None).deliver(
                OF, [whole, broken], in_doubt=frozenset(), progress=lambda _uid, _state: None
            )
        assert refused.value.reason == "NO-PRESENTATION-CONTEXT"
        assert receiver.received == []

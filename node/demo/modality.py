"""The scanner that sends the head, image by image."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import dcmread
from pynetdicom.presentation import build_context

from integrations.errors import IntegrationError
from integrations.pacs.peer import DicomPeer, associated
from node.demo.processes import DemoFailed

HEAD = Path(__file__).parent / "head"
AE_TITLE = "MODALITY"


def images() -> list[Path]:
    """Return the files of the head study."""
    return sorted(HEAD.glob("*.dcm"))


def send(files: Sequence[Path], *, called: str, port: int, sent: Callable[[], object]) -> None:
    """Send files over one association as they are; `sent` is called after each.

    Raises
    ------
    DemoFailed
        The peer does not take them.
    """
    first = dcmread(files[0], stop_before_pixels=True)
    context = build_context(first.SOPClassUID, [first.file_meta.TransferSyntaxUID])
    peer = DicomPeer(ae_title=called, host="127.0.0.1", port=port, calling_ae_title=AE_TITLE)
    try:
        with associated(peer, [context]) as association:
            for file in files:
                status = association.send_c_store(dcmread(file)).get("Status", "nothing")
                if status != 0:
                    raise DemoFailed(f"{called} answered {status} to C-STORE")
                sent()
    except IntegrationError as error:
        raise DemoFailed(f"{called}: {error}") from error

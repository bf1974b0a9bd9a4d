"""The same object in a native transfer syntax, for an archive that takes its SOP class and not its encoding.

Nothing is lost on the way: pixels are decoded, and never encoded again. The file in the store stays as it is.
"""

from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from integrations.errors import SyntaxRefused
from integrations.report import Instance

NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What may be sent instead, the better first: implicit loses the representations of private elements."""


def transcoded(instance: Instance, transfer_syntax_uid: str, folder: Path) -> Path:
    """Write an object in one of `NATIVE`, under the UID that it has, and return the file.

    Raises
    ------
    SyntaxRefused
        Its pixels cannot be decoded here.
    OSError
        A file cannot be read or written.
    """
    dataset = dcmread(instance.path)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        try:
            # a new UID would make another object of it, and conversion of colours would round
            dataset.decompress(as_rgb=False, generate_instance_uid=False)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
            said = f"{instance.sop_class_uid} in {instance.transfer_syntax_uid} cannot be decoded"
            raise SyntaxRefused("NO-PRESENTATION-CONTEXT", said) from error
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    path = folder / f"{instance.sop_instance_uid}.dcm"
    dataset.save_as(
        path,
        implicit_vr=transfer_syntax_uid == NATIVE[1],
        little_endian=True,
        enforce_file_format=True,
    )
    return path

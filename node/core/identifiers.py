"""Identifiers: which ones are valid, and how the node's own are derived."""

import hashlib
import re
import uuid
from collections.abc import Iterable
from typing import BinaryIO

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def is_uid(text: str) -> bool:
    """Whether `text` is a DICOM UID (PS3.5 9.1); only such a text may become part of a path."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def new_uid() -> str:
    """Return a fresh UID under 2.25 (PS3.5 B.2): for a Transaction UID, never for a result."""
    return f"2.25.{uuid.uuid4().int}"


def data_set_digest(file: BinaryIO) -> str:
    """SHA-256 of the data set in a DICOM file, without preamble and File Meta Information.

    The file meta names the software that wrote the file, so the same object from two associations may
    differ there. (PS3.10 7.1: 128 bytes, ``DICM``, then (0002,0000), whose value counts the rest.)

    Parameters
    ----------
    file
        One that the node wrote itself, open for reading.
    """
    file.seek(140)
    file.seek(144 + int.from_bytes(file.read(4), "little"))
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 18))
    while count := file.readinto(buffer):  # type: ignore[attr-defined]  # every file has it
        digest.update(buffer[:count])
    return digest.hexdigest()


def input_digest(instances: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the inputs of a job.

    Parameters
    ----------
    instances
        (SOP Instance UID, SHA-256 of its data set) of each input, in any order.
    """
    listing = "\n".join(f"{uid} {digest}" for uid, digest in sorted(instances))
    return hashlib.sha256(listing.encode()).hexdigest()


def job_id(*, study_instance_uid: str, model: str, version: str, digest: str, request: int) -> str:
    """Return the key of a job: the same question about the same data is the same job.

    Parameters
    ----------
    study_instance_uid, model, version
        What is asked of what.
    digest
        `input_digest` of the inputs.
    request
        0 when a rule asked; one more for each rerun or correction.
    """
    key = "|".join((study_instance_uid, model, version, digest, str(request)))
    return hashlib.sha256(key.encode()).hexdigest()[:32]

"""Debian's DCMTK as the sender.

The programs are called by full path: pynetdicom puts a `storescu` of its own into a virtual environment.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import program, wait_for

_PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How a sender ended, and what it printed."""

    returncode: int
    output: str


def storescu(
    folder: Path,
    *,
    port: int,
    called: str = "OVERREAD",
    calling: str = "MODALITY",
    transfer_syntax_uid: str | None = None,
    options: Sequence[str] = (),
    timeout_s: float = 300,
) -> Sent:
    """Send every file below `folder` over one association, unchanged.

    Parameters
    ----------
    transfer_syntax_uid
        The files' transfer syntax when it is a compressed one: storescu converts nothing, and proposes
        a compressed syntax only when told (``1.2.840.10008.1.2.4.80``: JPEG-LS lossless).
    options
        Further options, for example ``["--repeat", "2"]`` or ``["-nh"]``.
    """
    propose = [_PROPOSE[transfer_syntax_uid]] if transfer_syntax_uid else []
    command = [str(program("storescu", "dcmtk")), "-v", "-R", "+sd", "+r", *propose, *options]
    command += ["-aet", calling, "-aec", called, "127.0.0.1", str(port), str(folder)]
    return _run(command, timeout_s)


def dcmsend(
    folder: Path,
    *,
    port: int,
    called: str = "OVERREAD",
    calling: str = "MODALITY",
    timeout_s: float = 300,
) -> Sent:
    """Send every file below `folder`, of any mixture of transfer syntaxes; never decompress."""
    command = [str(program("dcmsend", "dcmtk")), "-v", "-dn", "+sd", "+r", "-nh"]
    command += ["-aet", calling, "-aec", called, "127.0.0.1", str(port), str(folder)]
    return _run(command, timeout_s)


def echoscu(*, port: int, called: str = "OVERREAD", calling: str = "MODALITY") -> Sent:
    """Ask for an echo."""
    command = [str(program("echoscu", "dcmtk")), "-aet", calling, "-aec", called]
    return _run([*command, "127.0.0.1", str(port)], 30)


@contextmanager
def serving(command: Sequence[str], folder: Path, *, ae_title: str, port: int) -> Iterator[None]:
    """Run a server of DCMTK's while the block runs, from when it answers an echo; `folder` has its log."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(
                lambda: (
                    process.poll() is not None
                    or echoscu(port=port, called=ae_title).returncode == 0
                ),
                timeout_s=30,
                what=f"{ae_title} to answer",
            )
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def compress_jpegls(source: Path, target: Path) -> None:
    """Write a JPEG-LS lossless copy of a DICOM file."""
    command = [str(program("dcmcjpls", "dcmtk")), "+un", str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _run(command: Sequence[str], timeout_s: float) -> Sent:
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )
    return Sent(returncode=done.returncode, output=done.stdout)

"""Several associations at once, each of them a process of DCMTK's, and what a listener needs meanwhile."""

import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
from pydicom.uid import CTImageStorage

from inference import phantoms
from tests.peers import program

MATRIX = 512
"""Rows and columns of 16 bits: 512 kB for each image."""


def write_images(folder: Path, count: int, matrix: int = MATRIX) -> None:
    """Write images that look like CT to whoever stores them: noise, which nothing makes smaller."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(27).integers(0, 4096, (1, matrix, matrix), np.uint16)
    phantom = phantoms.Phantom(
        voxels=np.repeat(noise, count, axis=0),
        affine=phantoms.grid(),
        header={"Modality": "CT", "PatientName": "Load^Test", "PatientID": "OVR-LOAD"},
        entropy="load",
    )
    for index in range(count):
        image = phantoms.instance(phantom, index, index + 1)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
        image.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)


def send_side_by_side(
    folder: Path, *, port: int, called: str, associations: int, timeout_s: float = 180
) -> float:
    """Send a folder over several associations at once, each time as new images; return the seconds.

    Raises
    ------
    RuntimeError
        A sender failed, or had not ended in time.
    """
    command = [str(program("storescu", "dcmtk")), "-R", "+sd", "--invent-series", "10000"]
    command += ["-aet", "MODALITY", "-aec", called, "127.0.0.1", str(port), str(folder)]
    began = time.perf_counter()
    senders = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(associations)
    ]
    try:
        said = [one.communicate(timeout=timeout_s)[0] for one in senders]
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"senders had not ended after {timeout_s:g} s") from error
    finally:
        for one in senders:
            one.kill()
            one.wait()
    seconds = time.perf_counter() - began
    failed = [text for one, text in zip(senders, said, strict=True) if one.returncode != 0]
    if failed:
        raise RuntimeError(failed[0].decode(errors="replace")[-500:])
    return seconds


def peak_mb(pid: int) -> float:
    """Return the most memory that a process, or one that it started, ever had resident, in MB (Linux).

    MB of a million bytes. A listener is several processes: the largest one counts.
    """
    started = psutil.Process(pid).children(recursive=True)
    peaks = [_peak_mb(one) for one in (pid, *(child.pid for child in started))]
    told = [peak for peak in peaks if peak is not None]
    if not told:
        raise RuntimeError(f"process {pid} tells no peak")
    return max(told)


def _peak_mb(pid: int) -> float | None:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None  # it has ended

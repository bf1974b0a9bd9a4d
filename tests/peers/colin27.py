"""The demo's head: Colin 27 from Debian's `mricron-data`, as a scanner would have written it.

Run ``python -m tests.peers.colin27 OUT`` to make the study again; ``node/demo/head`` holds its output.
"""

import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from inference.phantoms import Phantom, write
from tests.peers import absent

TEMPLATES = Path("/usr/share/mricron/templates")
MATRIX = 256
"""Rows and columns: scanners write a power of two, and viewers read bitmaps best when it is."""

GAIN = 5
"""The template has 8 bits; a T1 image of a scanner fills about 10."""

HEADER = {
    "AccessionNumber": "OVRDEMO27",
    "Manufacturer": "Overread Demo",
    "ManufacturerModelName": "Template 27",
    "StudyDescription": "MR Head",
    "SeriesDescription": "T1 MPRAGE AX",
    "ProtocolName": "T1 MPRAGE AX",
    "SequenceName": "*tfl3d1",
    "PatientName": "Colin^Twentyseven",
    "PatientID": "OVR-000027",
    "IssuerOfPatientID": "OVERREAD-DEMO",
    "PatientBirthDate": "19630704",
    "PatientSex": "M",
    "PatientAge": "063Y",
    "PatientWeight": 75,
    "StudyID": "27",
    "WindowCenter": 500,
    "WindowWidth": 1000,
    "NumberOfAverages": 27,
}


def template(name: str = "ch2") -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Voxels ``(x, y, z)`` of a template and its affine to RAS millimetres."""
    path = TEMPLATES / f"{name}.nii.gz"
    if not path.is_file():
        absent(f"the template {name}", "apt-get install mricron-data")
    image: Any = nib.load(path)
    return np.asarray(image.dataobj, dtype=np.uint8), np.asarray(image.affine, dtype=np.float64)


def head() -> Phantom:
    """Colin 27's head in axial slices of 256 × 256, rows to the back and columns to the left."""
    voxels, ras = template()
    # From (x, y, z) growing right, front, up to (slice, row, column) growing up, back, left.
    stack = voxels[::-1, ::-1, :].transpose(2, 1, 0).astype(np.uint16) * GAIN
    margins = [(MATRIX - size) // 2 for size in stack.shape[1:]]
    padded = np.zeros((stack.shape[0], MATRIX, MATRIX), np.uint16)
    inner = tuple(slice(m, m + s) for m, s in zip(margins, stack.shape[1:], strict=True))
    padded[:, inner[0], inner[1]] = stack
    last = ras @ [voxels.shape[0] - 1, voxels.shape[1] - 1, 0, 1]
    affine = np.zeros((4, 4))
    affine[3, 3] = affine[2, 0] = affine[1, 1] = affine[0, 2] = 1
    affine[:3, 3] = [-last[0] - margins[1], -last[1] - margins[0], last[2]]
    return Phantom(voxels=padded, affine=affine, header=HEADER, entropy="Colin 27")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    files = write(head(), out, compress=True)
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.2f} MB in {out}")

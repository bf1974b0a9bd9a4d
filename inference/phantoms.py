"""Series with known answers: an array and its place in the patient, written as single-frame MR files.

Everything is derived: the same phantom gives the same bytes, the same UIDs among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage

from inference.uids import derived_uid

BITS_STORED = 12
"""What a scanner stores of the 16 bits that an MR image allocates (PS3.3 C.8.3.1.1.4)."""

_MR_HEADER: Mapping[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
    "StudyDate": "20261015",
    "StudyTime": "101500",
    "SeriesDate": "20261015",
    "SeriesTime": "101730",
    "AcquisitionDate": "20261015",
    "AcquisitionTime": "101730",
    "ContentDate": "20261015",
    "ContentTime": "101730",
    "TimezoneOffsetFromUTC": "+0000",
    "AccessionNumber": "PHANTOM1",
    "Modality": "MR",
    "Manufacturer": "Overread Phantoms",
    "ManufacturerModelName": "Phantom",
    "DeviceSerialNumber": "0",
    "SoftwareVersions": "1",
    "InstitutionName": "Overread Hospital",
    "ReferringPhysicianName": "Referrer^Anna",
    "StudyDescription": "MR Phantom",
    "SeriesDescription": "T1 PHANTOM",
    "ProtocolName": "T1 PHANTOM",
    "PatientName": "Phantom^Sphere",
    "PatientID": "PHANTOM-1",
    "IssuerOfPatientID": "OVERREAD-PHANTOMS",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "BodyPartExamined": "HEAD",
    "PatientPosition": "HFS",
    "StudyID": "1",
    "SeriesNumber": 2,
    "AcquisitionNumber": 1,
    "PositionReferenceIndicator": "",
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SP", "MP"],
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 2300,
    "EchoTime": 2.98,
    "InversionTime": 900,
    "FlipAngle": 9,
    "EchoTrainLength": 1,
    "NumberOfAverages": 1,
    "ImagingFrequency": 123.2,
    "ImagedNucleus": "1H",
    "MagneticFieldStrength": 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A volume that is to be written as one series.

    Parameters
    ----------
    voxels
        Stored values, shape ``(slices, rows, columns)``, unsigned integers below 2¹².
    affine
        4 × 4 matrix from (slice, row, column) indices to LPS millimetres. A first column that is not
        across the other two makes slices drift sideways, as a tilted gantry does.
    header
        Attributes by DICOM keyword that replace or join those of an MR head; None takes one away.
    rescale
        Rescale slope and intercept of each slice; None writes none.
    entropy
        What the UIDs are derived from: another text makes another study.
    """

    voxels: NDArray[np.integer[Any]]
    affine: NDArray[np.float64]
    header: Mapping[str, Any] = field(default_factory=dict)
    rescale: Sequence[tuple[float, float]] | None = None
    entropy: str = "phantom"

    def uid(self, *parts: str) -> str:
        """UID of the phantom's study (``study``), series (``series``) or of an instance."""
        return derived_uid("phantom", self.entropy, *parts)


def write(
    phantom: Phantom,
    folder: Path,
    *,
    order: Sequence[int] | None = None,
    compress: bool = False,
) -> list[Path]:
    """Write a phantom as ``IM0001.dcm`` and following, and return the files in that order.

    Parameters
    ----------
    phantom
        What to write.
    folder
        Made when it is not there.
    order
        Indices of the slices in the order of files and Instance Numbers: any order, with gaps, or with
        one index twice for two instances at one place. None writes all of them, ascending.
    compress
        JPEG-LS Lossless (1.2.840.10008.1.2.4.80) instead of Explicit VR Little Endian.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = range(len(phantom.voxels)) if order is None else order
    paths = []
    for number, index in enumerate(chosen, start=1):
        dataset = instance(phantom, index, number)
        if compress:
            dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        path = folder / f"IM{number:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def instance(phantom: Phantom, index: int, number: int) -> Dataset:
    """One slice as an MR Image object, uncompressed, with `number` as Instance Number."""
    dataset = Dataset()
    for keyword, value in {**_MR_HEADER, **phantom.header}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = UID(phantom.uid("instance", str(index), str(number)))
    dataset.StudyInstanceUID = phantom.uid("study")
    dataset.SeriesInstanceUID = phantom.uid("series")
    dataset.FrameOfReferenceUID = phantom.uid("frame of reference")
    dataset.InstanceNumber = number
    _place(dataset, phantom.affine, index)
    _fill(dataset, phantom, index)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = UID(derived_uid("phantom", "implementation"))
    return dataset


def grid(
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    first_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    plane: str = "axial",
    tilt_degrees: float = 0.0,
) -> NDArray[np.float64]:
    """Affine of a stack in one of the three anatomical planes, with right-handed axes.

    Parameters
    ----------
    spacing_mm
        Distance between slices, between rows and between columns.
    first_mm
        Centre of the first voxel, LPS.
    plane
        ``axial`` (slices run to the head), ``coronal`` (to the front) or ``sagittal`` (to the left).
    tilt_degrees
        Turns the whole stack round the patient's left-right axis.
    """
    columns_rows_slices = {
        "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
        "sagittal": ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
    }
    across, down, through = (np.array(axis, float) for axis in columns_rows_slices[plane])
    turn = rotation(tilt_degrees)
    affine = np.eye(4)
    for column, (axis, spacing) in enumerate(zip((through, down, across), spacing_mm, strict=True)):
        affine[:3, column] = turn @ axis * spacing
    affine[:3, 3] = first_mm
    return affine


def rotation(degrees: float) -> NDArray[np.float64]:
    """3 × 3 matrix of a turn round the patient's left-right axis."""
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]], dtype=np.float64)


def sphere(
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    radius_mm: float,
    bright: int = 1000,
) -> NDArray[np.uint16]:
    """Voxels of a ball in the middle of the stack, `bright` inside and 0 outside.

    A voxel is inside when its centre is, so that their count times the voxel's volume comes near
    4/3·π·r³.
    """
    indices = np.indices(shape).reshape(3, -1)
    middle = (np.array(shape) - 1) / 2
    offsets_mm = affine[:3, :3] @ (indices - middle[:, None])
    voxels = np.zeros(shape, np.uint16)
    voxels.reshape(-1)[np.linalg.norm(offsets_mm, axis=0) <= radius_mm] = bright
    return voxels


def _place(dataset: Dataset, affine: NDArray[np.float64], index: int) -> None:
    down, across = affine[:3, 1], affine[:3, 2]
    row_spacing, column_spacing = float(np.linalg.norm(down)), float(np.linalg.norm(across))
    normal = np.cross(across / column_spacing, down / row_spacing)
    position = affine[:3, 3] + affine[:3, 0] * index
    distance = float(abs(normal @ affine[:3, 0]))
    dataset.ImagePositionPatient = [_decimal(v) for v in position]
    dataset.ImageOrientationPatient = [
        _decimal(v) for v in (*(across / column_spacing), *(down / row_spacing))
    ]
    dataset.PixelSpacing = [_decimal(row_spacing), _decimal(column_spacing)]
    dataset.SliceThickness = _decimal(distance)
    dataset.SpacingBetweenSlices = _decimal(distance)
    dataset.SliceLocation = _decimal(float(normal @ position))


def _fill(dataset: Dataset, phantom: Phantom, index: int) -> None:
    pixels = np.ascontiguousarray(phantom.voxels[index], dtype="<u2")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = BITS_STORED
    dataset.HighBit = BITS_STORED - 1
    dataset.PixelRepresentation = 0
    if "WindowCenter" not in phantom.header:
        brightest = max(2, int(phantom.voxels.max()))
        dataset.WindowCenter, dataset.WindowWidth = brightest / 2, brightest
    if phantom.rescale is not None:
        slope, intercept = phantom.rescale[index]
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.RescaleType = "US"
    dataset.PixelData = pixels.tobytes()


def _decimal(value: float) -> str:
    """At most 16 characters, as a DS may have (PS3.5 6.2)."""
    return f"{value + 0.0:.8f}".rstrip("0").rstrip(".") or "0"

"""Programs of others that judge what we made, or read it in their own way.

Each wrapper fails its test when the program did not do its work: several of them exit with 0 on an
object that they could not read, or say nothing at all.
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fhirkit
import gdcm
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import SegmentationStorage

from integrations.fhir.coding import UCUM
from integrations.fhir.wire import Resource, encode
from tests.peers import absent, program

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
"""Label Map Segmentation Storage, which pydicom does not name."""

JAVA_OPTIONS = (
    "-Djdk.xml.xpathExprGrpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 "
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
)
"""Without the limits lifted PixelMed's validator dies on its own rules (JAXP0801003) and says that all is
well; the rest makes it twice as fast on a small machine."""

VOLUMETRIC_GROUP_TAKEN_FOR_PLANAR = re.compile(
    r"Error: Template 1410 PlanarROIMeasurements/.*/\[Row [57]\] .*: within ([0-9.]+): .*"
    r"Missing conditional content item"
)
"""Known false error of PixelMed. Whether groups are planar it decides once for all groups, by counting the
SCOORD in all of them together: with exactly one it holds every group against TID 1410, the volumetric ones
among them. The same groups beside a second finding pass, which `test_results` shows."""


PLANAR = frozenset({"121214", "42798000", "103339001", "103340004"})
"""Referenced Segmentation Frame, Area, Long Axis, Short Axis."""


GROUP_TAKEN_FOR_VOLUMETRIC = re.compile(
    r"Error: Template 1411 VolumetricROIMeasurements/.*/\[Row (?:5|7|10)\] .*: within ([0-9.]+): .*"
    r"Missing conditional content item"
)
"""Known false error of PixelMed. As soon as one group references a segment, it holds all groups against
TID 1411: those of TID 1501, which have no region, and those whose region is a SCOORD3D. TID 1500 includes
1410, 1411 and 1501 side by side. The same groups pass where no group references a segment, which
`test_report_forms` shows."""


UNKNOWN_IMAGE = "Invalid or unknown image SOP class referenced from IMAGE content item"
"""Known false error of DCMTK before it knew Label Map Segmentation Storage (Supplement 243): an IMAGE item may
reference none but the classes of its own list, and the whole report is refused for one. The same report with
nothing replaced but that UID is read to its end, which `test_random_studies` shows."""


GDCM_LEAST_OF_RLE = 64
"""Bytes that all pixels together must have before GDCM 3.2 decodes RLE Lossless. It refuses fewer, whoever
encoded them, though the very same fragments are read where they stand twice: `test_round_trip` shows both."""


COUNTED_AS_RAW = (
    "The number of bytes of compressed pixel data matches the expected number for uncompressed"
)
"""False alarm of pydicom: it compares the length of encapsulated Pixel Data, items and RLE headers included,
with Rows × Columns × frames, and warns where chance makes them equal. `test_round_trip` shows that it says so
of its own encoder's output, and holds the pixels of each mask that it warns of like those of any other."""


def dciodvfy_errors(path: Path) -> list[str]:
    """Judge any object by the IOD tables of dicom3tools; its warnings do not count."""
    output = _run(_installed("dciodvfy", "dicom3tools"), path)
    if not re.search(r"^(Error|Warning|[A-Z][A-Za-z0-9]+$)", output, re.MULTILINE):
        pytest.fail("dciodvfy recognised no object")
    return [line for line in output.splitlines() if line.startswith("Error")]


def label_map_taken_for_none(error: str, dataset: Dataset) -> bool:
    """Whether `error` is the known false one of dciodvfy: a label map is no segmentation to it.

    Its rule for Referenced Segment Number (0062,000B) names the class of Supplement 111 alone. The same report
    on the same segments as BINARY is without error, which `test_random_studies` shows.
    """
    named = {
        str(one.ReferencedSOPClassUID)
        for one in _references(dataset)
        if "ReferencedSegmentNumber" in one
    }
    return "<ReferencedSegmentNumber>" in error and named == {LABEL_MAP}


def taken_for_a_pair(error: str, dataset: Dataset) -> bool:
    """Whether `error` is the known false one of dciodvfy: Laterality (0020,0060) of what nobody calls a pair.

    The attribute is 2C, "required if the body part examined is a paired structure" (PS3.3 C.7.3.1); dciodvfy
    wants it wherever no Body Part Examined says that it is none.
    """
    return "<Laterality>" in error and not dataset.get("BodyPartExamined")


def gdcm_pixels(path: Path) -> bytes:
    """Decode the pixels of an image with GDCM."""
    buffer = gdcm_buffer(path)
    if buffer is None:
        pytest.fail("GDCM cannot decode the pixels")
    return buffer


def pixelmed_errors(path: Path, *, template: bool = True) -> list[str]:
    """Judge a report by PixelMed's DicomSRValidator, the acceptance tool of IHE RAD AIR.

    Parameters
    ----------
    template
        Whether its tree has one; without, the relations of its class are all that is judged.
    """
    output = _run(
        program("DicomSRValidator", "pixelmed-apps"), path, JAVA_TOOL_OPTIONS=JAVA_OPTIONS
    )
    if template and "Root Template Validation Complete" not in output:
        pytest.fail("PixelMed found no template that it knows")
    if "IOD validation complete" not in output:
        pytest.fail("PixelMed did not finish")
    return [line for line in output.splitlines() if line.startswith("Error")]


def dcentvfy_errors(paths: Iterable[Path]) -> list[str]:
    """Judge whether the objects of a study agree on patient, study, series and frame of reference.

    It warns that some objects have the accession number in another module than others.
    """
    output = _run(_installed("dcentvfy", "dicom3tools"), *paths)
    if "Abort" in output:
        pytest.fail(f"dcentvfy: {output}")
    return [line for line in output.splitlines() if line.startswith("Error")]


def pdf_text(content: bytes) -> str:
    """Read a PDF of one page with pypdf, strictly."""
    try:
        from pypdf import PdfReader
    except ImportError:
        absent("pypdf", "pip install pypdf")
    document = PdfReader(io.BytesIO(content), strict=True)
    if len(document.pages) != 1:
        pytest.fail(f"a page has {len(document.pages)} pages")
    text: str = document.pages[0].extract_text()
    return text


def known_false(error: str, report: Dataset) -> bool:
    """Whether an error of PixelMed is of a kind that is known to be false, and said of such a group."""
    return taken_for_planar(error, report) or taken_for_volumetric(error, report)


def taken_for_volumetric(error: str, report: Dataset) -> bool:
    """Whether `error` is `GROUP_TAKEN_FOR_VOLUMETRIC`, said of a group that is none."""
    told = GROUP_TAKEN_FOR_VOLUMETRIC.match(error)
    if told is None:
        return False
    members = _group(report, told[1]).ContentSequence
    concepts = {item.ConceptNameCodeSequence[0].CodeValue for item in members}
    drawn = [item for item in members if item.ConceptNameCodeSequence[0].CodeValue == "111030"]
    return "121191" not in concepts and all(item.ValueType == "SCOORD3D" for item in drawn)


def taken_for_planar(error: str, report: Dataset) -> bool:
    """Whether `error` is `VOLUMETRIC_GROUP_TAKEN_FOR_PLANAR`, said of a group that is not planar.

    It references a segment, or it is one of TID 1501, where no segmentation goes with the report: it has no
    region, and nothing that is measured in a plane.
    """
    told = VOLUMETRIC_GROUP_TAKEN_FOR_PLANAR.match(error)
    if told is None:
        return False
    group = _group(report, told[1])
    members = {item.ConceptNameCodeSequence[0].CodeValue for item in group.ContentSequence}
    return "111030" not in members and ("121191" in members or not members & PLANAR)


def _group(report: Dataset, place: str) -> Dataset:
    group = report
    for number in place.split(".")[1:]:
        group = group.ContentSequence[int(number) - 1]
    return group


def fhirkit_errors(resource: Resource) -> list[str]:
    """Judge a FHIR resource by fhirkit."""
    found = fhirkit.parse(encode(resource)).issues
    return [str(issue) for issue in found if issue.severity == "error"]


def loose_quantities(node: object) -> list[dict[str, Any]]:
    """Find every Quantity whose code has no system: no validator that we know of says so."""
    if isinstance(node, list):
        return [found for item in node for found in loose_quantities(item)]
    if not isinstance(node, dict):
        return []
    nested = [found for value in node.values() for found in loose_quantities(value)]
    is_quantity = "value" in node and "code" in node
    return [*nested, node] if is_quantity and node.get("system") != UCUM else nested


def dsrdump(path: Path) -> str:
    """Read a report with DCMTK, which checks the relations of its tree.

    A report on a label map is read with the class of Supplement 111 in its place: see `UNKNOWN_IMAGE`.
    """
    report = dcmread(path)
    if LABEL_MAP not in referenced_classes(report):
        return _read_by_dsrdump(path)
    with tempfile.TemporaryDirectory() as folder:
        return _read_by_dsrdump(with_known_class(report, Path(folder)))


def _read_by_dsrdump(path: Path) -> str:
    output = dsrdump_output(path)
    if re.search(r"^[EF]: ", output, re.MULTILINE) or "<CONTAINER:" not in output:
        pytest.fail(f"dsrdump: {output}")
    return output


def dsrdump_output(path: Path) -> str:
    """Return what dsrdump says, errors included."""
    return _run(program("dsrdump", "dcmtk"), "+Pc", path)


def with_known_class(report: Dataset, folder: Path) -> Path:
    """Write `report` with label maps referenced as segmentations of Supplement 111, all else as it is."""
    for item in _references(report):
        if item.ReferencedSOPClassUID == LABEL_MAP:
            item.ReferencedSOPClassUID = SegmentationStorage
    path = folder / "known_class.dcm"
    report.save_as(path)
    return path


def referenced_classes(report: Dataset) -> set[str]:
    """Return the SOP classes that `report` references anywhere."""
    return {str(item.ReferencedSOPClassUID) for item in _references(report)}


def _references(report: Dataset) -> list[Dataset]:
    return [
        item
        for element in report.iterall()
        if element.keyword == "ReferencedSOPSequence"
        for item in element.value
    ]


def tid1500(path: Path, folder: Path) -> dict[str, Any]:
    """Read a report with dcmqi."""
    metadata = folder / "report.json"
    _run(
        _installed("tid1500reader", "dcmqi"),
        "--inputDICOM",
        path,
        "--outputMetadata",
        metadata,
    )
    if not metadata.is_file():
        pytest.fail("tid1500reader wrote nothing")
    read: dict[str, Any] = json.loads(metadata.read_text(encoding="utf-8"))
    return read


@dataclass(frozen=True, kw_only=True)
class SegmentImage:
    """One segment as dcmqi reads it.

    Parameters
    ----------
    voxels
        Axes as NIfTI has them: columns, rows, slices of the smallest block that holds the segments.
    affine
        From indices into `voxels` to LPS millimetres.
    """

    voxels: NDArray[np.uint8]
    affine: NDArray[np.float64]

    def at(self, affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Look up, for every voxel of a grid in LPS, what stands at that place in the patient."""
        indices = np.indices(shape).reshape(3, -1)
        places = affine @ np.vstack([indices, np.ones(indices.shape[1])])
        found = (np.linalg.inv(self.affine) @ places)[:3]
        nearest = np.rint(found).astype(int)
        assert np.abs(found - nearest).max() < 0.01, "dcmqi's grid is not the source's"
        inside = np.all((nearest >= 0) & (nearest < np.array(self.voxels.shape)[:, None]), axis=0)
        values = np.zeros(indices.shape[1], bool)
        values[inside] = self.voxels[tuple(nearest[:, inside])] > 0
        return values.reshape(shape)


def gdcm_frames(path: Path, folder: Path) -> list[NDArray[np.unsignedinteger[Any]]]:
    """Decode the frames of a Segmentation with GDCM."""
    dataset = dcmread(path)
    count, size = int(dataset.NumberOfFrames), dataset.Rows * dataset.Columns
    if dataset.SegmentationType == "LABELMAP":
        # GDCM 3.2 does not know the class, and an object of such a class it takes for no image.
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
        _repeat_frames(dataset, -(-GDCM_LEAST_OF_RLE // (count * size)))
        path = folder / "known_class.dcm"
        dataset.save_as(path)
    buffer = gdcm_buffer(path)
    if buffer is None:
        pytest.fail("GDCM cannot decode the pixels")
    pixels = np.frombuffer(buffer, np.uint8)
    if dataset.BitsAllocated == 1:
        pixels = np.unpackbits(pixels, bitorder="little")
    return list(pixels[: count * size].reshape(count, dataset.Rows, dataset.Columns))


def gdcm_buffer(path: Path) -> bytes | None:
    """Return what GDCM decodes from Pixel Data; None where it cannot."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        pytest.fail("GDCM cannot read the image")
    buffer = reader.GetImage().GetBuffer()
    # a string in which each byte is one character that could not be decoded, or was
    return None if buffer is None else buffer.encode("utf-8", "surrogateescape")


def _repeat_frames(dataset: Dataset, times: int) -> None:
    """Let all frames of an encapsulated object follow each other `times` times, each as it is encoded."""
    if times == 1:
        return
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    dataset.PixelData = encapsulate(frames * times)
    dataset.NumberOfFrames = len(frames) * times


def segment_images(path: Path, folder: Path) -> dict[int, SegmentImage]:
    """Read a Segmentation with dcmqi: each segment by its number."""
    folder.mkdir()
    _run(
        _installed("segimage2itkimage", "dcmqi"),
        "--inputDICOM",
        path,
        "--outputDirectory",
        folder,
        "--outputType",
        "nii",
    )
    images = {}
    described = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    for place, attributes in enumerate(described["segmentAttributes"], start=1):
        image = nibabel.nifti1.load(folder / f"{place}.nii.gz")
        voxels = np.asarray(image.dataobj)
        if image.affine is None:
            pytest.fail("segimage2itkimage gave an image without a place")
        to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
        for attribute in attributes:
            value = attribute["labelID"]
            region = (voxels == value).astype(np.uint8)
            images[value] = SegmentImage(voxels=region, affine=to_lps)
    return images


def parametric_map_image(path: Path, folder: Path) -> NDArray[np.float32] | None:
    """Read a Parametric Map with dcmqi; None where it writes no image."""
    folder.mkdir()
    program_path = _installed("paramap2itkimage", "dcmqi")
    _run(
        program_path,
        *("--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nii"),
    )
    images = list(folder.glob("*.nii*"))
    if not images:
        return None
    return np.asarray(nibabel.nifti1.load(images[0]).dataobj, np.float32)


def _installed(name: str, package: str) -> Path:
    """Find a program that a Python package brought into this environment."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        absent(name, f"pip install {package}")
    return path


def _run(command: Path, *arguments: str | Path, **environment: str) -> str:
    # The exit status tells nothing: dciodvfy's and PixelMed's are 0 on errors.
    done = subprocess.run(
        [str(command), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=180,
        env={**os.environ, **environment},
    )
    return done.stdout + done.stderr

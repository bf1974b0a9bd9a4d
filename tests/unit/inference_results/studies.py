"""Results with known answers on phantoms: what the builders and the validators are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import EnhancedMRImageStorage

from inference import phantoms
from inference.card import Card, Segment
from inference.codes import (
    AREA,
    LONG_AXIS,
    MAXIMUM,
    MILLILITRE,
    MILLIMETRE,
    SQUARE_MILLIMETRE,
    VOLUME,
    VOXEL_SUM,
    Code,
)
from inference.context import AGE, SEX, Context, ContextValue
from inference.declared import Decision, Quantity, Question, Target
from inference.findings import (
    Classification,
    Compared,
    Detection,
    Finding,
    Form,
    KeyPicture,
    KeySlice,
    Measurement,
    Reading,
    Result,
)
from inference.results.objects import Equipment, ResultRequest
from inference.uids import derived_uid
from inference.volume import Series, read_series

REQUEST = ResultRequest(
    equipment=Equipment(
        model_name="Overread node", device_serial_number="OR-1", software_versions=("0.1.0",)
    ),
    created=datetime(2026, 10, 15, 10, 20, 30, 250000, tzinfo=UTC),
)

CONTEXT = Context(
    values={
        AGE: ContextValue(
            concept=Code("121033", "DCM", "Subject Age"),
            value=56.0,
            unit=Code("a", "UCUM", "year"),
            source="Patient/1/_history/3",
            effective="2026-10-15",
        ),
        SEX: ContextValue(
            concept=Code("121032", "DCM", "Subject Sex"),
            value=Code("M", "DCM", "Male"),
            source="Patient/1/_history/3",
        ),
    },
    missing={"creatinine": "no value in the last 90 days"},
)

BRAIN = Segment(
    number=1,
    label="Brain",
    category=Code("91723000", "SCT", "Anatomical Structure"),
    type=Code("12738006", "SCT", "Brain"),
    finding_site=None,
    colour_rgb=(250, 250, 90),
)
LESION = Segment(
    number=2,
    label="Lesion",
    category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    type=Code("52988006", "SCT", "Lesion"),
    finding_site=Code("12738006", "SCT", "Brain"),
    colour_rgb=(220, 20, 60),
)


HEMORRHAGE = Question(
    label="Hemorrhage",
    category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    type=Code("50960005", "SCT", "Hemorrhage"),
    finding_site=Code("12738006", "SCT", "Brain"),
    laterality=None,
    decision=Decision(
        score=Code("ich-score", "99PHANTOM", "Hemorrhage score"),
        calibrated=False,
        threshold=0.5,
        indeterminate_from=0.3,
    ),
)
NODULE = Target(
    label="Nodule",
    category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    type=Code("27925004", "SCT", "Nodule"),
    finding_site=Code("12738006", "SCT", "Brain"),
    laterality=Code("7771000", "SCT", "Left"),
    colour_rgb=(30, 144, 255),
    decision=Decision(score=Code("122157", "DCM", "Probability"), calibrated=True, threshold=0.25),
)
THICKNESS = Quantity(
    label="Mean cortical thickness",
    concept=Code("118560001", "SCT", "Thickness"),
    unit=MILLIMETRE,
    derivation=Code("373098007", "SCT", "Mean"),
    finding_site=Code("12738006", "SCT", "Brain"),
    laterality=None,
)
_BOX = np.array([(4.5, 6), (12, 6), (12, 17.25), (4.5, 17.25), (4.5, 6)], np.float64)
_PLACES: Mapping[Form, NDArray[np.float64]] = {
    Form.BOX: _BOX,
    Form.POINT: np.array([(20.5, 30.5)], np.float64),
    Form.DIAMETER: np.array([(8, 9), (15.5, 21)], np.float64),
}


def card(*segments: Segment) -> Card:
    """Return a card of a model that makes `segments`."""
    return Card(
        folder=Path("brain-extraction"),
        name="brain-extraction",
        version="1.0.2",
        device_uid="2.25.331212121212121212121212121212",
        manufacturer="Overread Phantoms",
        short_name="BrainExtr",
        content_qualification="RESEARCH",
        procedure_reported=Code("25056-3", "LN", "MRI unspecified body region"),
        inputs=(),
        context=(AGE, SEX),
        orientation="RAS",
        spacing_mm=(1.0, 1.0, 1.0),
        timeout_s=60.0,
        largest_component=True,
        fill_holes=True,
        segments=segments,
        weights={"1/model.pt": "0" * 64},
    )


@dataclass(frozen=True, kw_only=True)
class Study:
    """A phantom's geometry and header, and what stands in its mask."""

    shape: tuple[int, int, int] = (12, 48, 40)
    spacing_mm: tuple[float, float, float] = (2.0, 0.8, 1.2)
    plane: str = "axial"
    tilt_degrees: float = 20.0
    header: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = (BRAIN,)
    context: Context = CONTEXT

    def affine(self) -> NDArray[np.float64]:
        return phantoms.grid(
            spacing_mm=self.spacing_mm,
            first_mm=(-31.25, 17.5, -40.125),
            plane=self.plane,
            tilt_degrees=self.tilt_degrees,
        )

    def phantom(self) -> phantoms.Phantom:
        voxels = phantoms.sphere(self.affine(), self.shape, radius_mm=9)
        return phantoms.Phantom(voxels=voxels, affine=self.affine(), header=self.header)

    def mask(self) -> NDArray[np.uint8]:
        """Two bars that no flip and no change of axes leaves as they were."""
        mask = np.zeros(self.shape, np.uint8)
        mask[2:7, 5:30, 6:20] = 1
        mask[6, 5:12, 20:31] = 1
        if len(self.segments) > 1:
            mask[4:9, 20:25, 8:13] = 2
        return mask

    def result(self, folder: Path, *, mask: NDArray[np.uint8] | None = None) -> Result:
        series = read_series(phantoms.write(self.phantom(), folder))
        return result_on(series, self, self.mask() if mask is None else mask)


def result_on(series: Series, study: Study, mask: NDArray[np.uint8]) -> Result:
    """Measure `mask` on `series`, by the shortest way that is right."""
    return Result(
        card=card(*study.segments),
        series=series,
        mask=mask,
        findings=tuple(_finding(series, segment, mask) for segment in study.segments),
        context=study.context,
        server="none",
        seconds={},
    )


def without(result: Result, number: int) -> Result:
    """Return `result` with one finding absent."""
    mask = np.where(result.mask == number, 0, result.mask).astype(np.uint8)
    findings = tuple(_finding(result.series, finding.segment, mask) for finding in result.findings)
    return replace(result, mask=mask, findings=findings)


COMPARED = Compared(
    prior="before",
    modality="MR",
    study_date="2025-11-03",
    study_instance_uid="2.25.9101",
    series_instance_uid="2.25.9102",
    sop_classes=dict.fromkeys(("2.25.9103", "2.25.9104"), "1.2.840.10008.5.1.4.1.1.4"),
)


def with_everything(result: Result, *, score: float = 0.83) -> Result:
    """Return `result` with an answer, three places of one target and a number of the whole series."""
    model = replace(
        result.card,
        questions=(HEMORRHAGE,),
        targets=(NODULE,),
        quantities=(THICKNESS,),
        most_places=4,
    )
    answer = Classification(
        question=HEMORRHAGE,
        tracking_identifier="Hemorrhage",
        tracking_uid=derived_uid("tracking", "hemorrhage"),
        score=score,
    )
    reading = Reading(
        quantity=THICKNESS,
        tracking_identifier="Thickness",
        tracking_uid=derived_uid("tracking", "thickness"),
        value=2.51,
    )
    return replace(
        result,
        card=model,
        classifications=(answer,),
        detections=tuple(_place(form) for form in _PLACES),
        readings=(reading,),
        pictures=(_picture(3), _picture(6)),
    )


def _place(form: Form) -> Detection:
    longest = Measurement(concept=LONG_AXIS, value=14.2, unit=MILLIMETRE, derivation=MAXIMUM)
    return Detection(
        target=NODULE,
        tracking_identifier=f"Nodule {form}",
        tracking_uid=derived_uid("tracking", "nodule", form),
        score=0.75,
        form=form,
        index=3,
        points=_PLACES[form],
        measurements=(longest,) if form is Form.DIAMETER else (),
    )


def _picture(index: int) -> KeyPicture:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[8:20, 10:30] = (200, 30, 40 * (index % 4))
    return KeyPicture(index=index, pixels=pixels, shows=(), lines=())


def _finding(series: Series, segment: Segment, mask: NDArray[np.uint8]) -> Finding:
    region = mask == segment.number
    tracking = {
        "tracking_identifier": f"{segment.label} 1",
        "tracking_uid": derived_uid("tracking", series.headers[0].SeriesInstanceUID, segment.label),
    }
    if not region.any():
        return Finding(segment=segment, present=False, measurements=(), key_slice=None, **tracking)
    plane = series.planes[0]
    area = plane.row_spacing_mm * plane.column_spacing_mm
    volume = Measurement(
        concept=VOLUME,
        value=float(region.sum()) * area * series.stack.slice_spacing_mm / 1000,
        unit=MILLILITRE,
        method=VOXEL_SUM,
    )
    return Finding(
        segment=segment,
        present=True,
        measurements=(volume,),
        key_slice=_key_slice(region, area),
        **tracking,
    )


def _key_slice(region: NDArray[np.bool_], pixel_area: float) -> KeySlice:
    index = int(region.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(region[index])
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    contour = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    area = Measurement(
        concept=AREA, value=float(region[index].sum()) * pixel_area, unit=SQUARE_MILLIMETRE
    )
    longest = Measurement(
        concept=LONG_AXIS,
        value=float(np.hypot(right - left, bottom - top)),
        unit=MILLIMETRE,
        derivation=MAXIMUM,
    )
    return KeySlice(index=index, contour=contour.astype(np.float64), measurements=(area, longest))


def enhanced(study: Study, folder: Path) -> Series:
    """Return the study's series as one Enhanced MR object."""
    slices = [dcmread(path) for path in phantoms.write(study.phantom(), folder / "classic")]
    converted = hd.legacy.LegacyConvertedEnhancedMRImage(
        legacy_datasets=slices,
        series_instance_uid=derived_uid("enhanced series"),
        series_number=3,
        sop_instance_uid=derived_uid("enhanced instance"),
        instance_number=1,
    )
    # dciodvfy does not know the legacy converted class as multi-frame.
    converted.SOPClassUID = EnhancedMRImageStorage
    converted.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    path = folder / "enhanced.dcm"
    converted.save_as(path, enforce_file_format=True)
    return read_series([path])

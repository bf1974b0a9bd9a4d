"""Where a model found its reasons, as a float Parametric Map (PS3.3 A.75) on the grid of its source.

highdicom builds the object's modules. Every slice has its frame, ascending along the normal: a viewer that
reads values without their places still shows them right.
"""

import highdicom as hd
import numpy as np
from pydicom import Dataset

from inference.findings import Result, Saliency
from inference.results.concepts import (
    NO_UNITS,
    SOURCE_IMAGE,
    UNSPECIFIED_METHOD,
    VISUAL_EXPLANATION,
    coded,
    concept,
)
from inference.results.derivation import (
    Meaning,
    derived_from,
    describe_source,
    examined_part,
    measures,
    one_plane,
    position,
)
from inference.results.headers import dress, identity, series_number, series_uid
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import UNNAMED, finished_with_pixels
from inference.results.profile import Profile
from inference.results.uncompressed import Uncompressed
from inference.uids import derived_uid
from inference.volume import Series


def parametric_map(result: Result, request: ResultRequest, profile: Profile) -> ResultObject | None:
    """Return the Parametric Map of `result`; None where there is none, or the profile wants none."""
    saliency = result.saliency
    if saliency is None or not profile.parametric_map:
        return None
    dataset = _modules(result, saliency, request)
    _describe_frames(dataset, result.series)
    describe_source(dataset, result.series)
    examined_part(dataset, result.series.headers)
    dress(dataset, identity(result.series.headers[0]), result.card, request, Kind.PM)
    pixels = Uncompressed(frames=[saliency.values])
    return finished_with_pixels(Kind.PM, dataset, pixels, uid_root=request.uid_root)


def _modules(result: Result, saliency: Saliency, request: ResultRequest) -> Dataset:
    """Build everything but the frames, with highdicom, from one plane without a patient."""
    series, card = result.series, result.card
    plane = series.planes[0]
    dataset: Dataset = hd.pm.ParametricMap(
        source_images=[one_plane(series)],
        pixel_array=np.zeros((1, plane.rows, plane.columns), np.float32),
        series_instance_uid=series_uid(series.headers[0], card, Kind.PM, request),
        series_number=series_number(request, Kind.PM),
        sop_instance_uid=UNNAMED,
        instance_number=1,
        manufacturer=request.equipment.manufacturer,
        manufacturer_model_name=request.equipment.model_name,
        software_versions=list(request.equipment.software_versions),
        device_serial_number=request.equipment.device_serial_number,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_meaning_of_values(_explained(result, saliency))],
        # LINEAR from 0, black, to 1, white: half a value lies below the centre (PS3.3 C.11.2.1.2.1)
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=1.0, window_width=2.0)],
        content_label="SALIENCY",
        content_description=f"Visual explanation by {card.name} {card.version}"[:64],
        content_creator_name="",  # Type 2; nobody made it
        content_qualification=card.content_qualification,
        plane_positions=[position(plane)],
        plane_orientation=hd.PlaneOrientationSequence(
            "PATIENT", [*plane.row_direction, *plane.column_direction]
        ),
        pixel_measures=measures(series),
    )
    del dataset.FloatPixelData
    # highdicom draws this UID at random.
    organization = derived_uid(
        dataset.SeriesInstanceUID, "dimension organization", root=request.uid_root
    )
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    # It takes the distance of the slices for unknown where it is shown one.
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures(series)
    return dataset


def _explained(result: Result, saliency: Saliency) -> str:
    labels = [f.segment.label for f in result.findings if f.tracking_uid in saliency.explains]
    return f"Visual explanation: {', '.join(labels)}"[:64]


def _meaning_of_values(explanation: str) -> hd.pm.RealWorldValueMapping:
    return hd.pm.RealWorldValueMapping(
        lut_label="SALIENCY",
        lut_explanation=explanation,
        unit=concept(NO_UNITS),
        value_range=(0.0, 1.0),
        quantity_definition=concept(VISUAL_EXPLANATION),
    )


def _describe_frames(dataset: Dataset, series: Series) -> None:
    meaning = Meaning(derivation=coded(UNSPECIFIED_METHOD), purpose=coded(SOURCE_IMAGE))
    items = []
    for index, plane in enumerate(series.planes):
        item, content = Dataset(), Dataset()
        content.DimensionIndexValues = [index + 1]
        item.FrameContentSequence = [content]
        item.PlanePositionSequence = position(plane)
        item.DerivationImageSequence = [derived_from(series, index, meaning)]
        items.append(item)
    dataset.PerFrameFunctionalGroupsSequence = items
    dataset.NumberOfFrames = len(items)

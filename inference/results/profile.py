"""What a destination is given: one result in the forms that it can show.

A profile is a choice among forms, each of which says the same. Nothing here knows who takes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Segments(StrEnum):
    """How a mask is written (PS3.3 C.8.20.2.3)."""

    BINARY = "BINARY"
    LABELMAP = "LABELMAP"
    NONE = "NONE"


class ReportClass(StrEnum):
    """SOP class of the report (PS3.4 B.5): the smaller ones for archives that refuse the larger."""

    COMPREHENSIVE_3D = "COMPREHENSIVE 3D"
    COMPREHENSIVE = "COMPREHENSIVE"
    ENHANCED = "ENHANCED"


class Coordinates(StrEnum):
    """In what a contour is given: pixels of its image, or millimetres of its frame of reference."""

    SCOORD = "SCOORD"
    SCOORD3D = "SCOORD3D"


class Notice(StrEnum):
    """How an archive is told that a study was not analysed, and why."""

    SR = "SR"
    SC = "SC"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The forms of a result set.

    Parameters
    ----------
    name
        Stands in the records of each set that was built by it.
    segments
        How the mask is written; NONE for an archive that takes no Segmentation.
    labelmap_for_odd_matrices
        Write a LABELMAP where Rows × Columns is no multiple of 8 although `segments` says BINARY: some viewers
        read frames wrongly that do not start on a byte.
    every_frame
        Also frames in which no segment is.
    report, coordinates
        SOP class of the report, and of its contours.
    parametric_map
        A saliency map as Parametric Map (PS3.3 A.75).
    capture
        Key slices with everything drawn into them, as a colour secondary capture, for viewers of pictures only.
    key_objects
        A Key Object Selection of the key images (PS3.16 TID 2010).
    presentation_state
        The contours as a Grayscale Softcopy Presentation State.
    summary
        One page as an encapsulated PDF.
    laboratory_values
        The report may name laboratory values of the patient that the model used.
    notice
        How it is told that a study was not analysed.
    otherwise
        Name of the profile that is tried when a destination refuses a SOP class or transfer syntax of this
        one; None when there is none left.
    """

    name: str
    segments: Segments = Segments.BINARY
    labelmap_for_odd_matrices: bool = False
    every_frame: bool = False
    report: ReportClass = ReportClass.COMPREHENSIVE_3D
    coordinates: Coordinates = Coordinates.SCOORD
    parametric_map: bool = True
    capture: bool = False
    key_objects: bool = False
    presentation_state: bool = False
    summary: bool = False
    laboratory_values: bool = False
    notice: Notice = Notice.NONE
    otherwise: str | None = None


GENERIC_PACS = "generic-pacs"
"""Name of the profile of a destination that names none."""

_BUILT_IN = (
    Profile(name=GENERIC_PACS, capture=True, otherwise="pictures"),
    Profile(
        name="ohif",
        labelmap_for_odd_matrices=True,
        parametric_map=False,
        capture=True,
        otherwise="ohif-binary",
    ),
    Profile(name="ohif-binary", parametric_map=False, capture=True, otherwise="pictures"),
    Profile(
        name="weasis",
        capture=True,
        key_objects=True,
        presentation_state=True,
        otherwise=GENERIC_PACS,
    ),
    Profile(name="air-strict", key_objects=True, otherwise=None),
    Profile(name="labelmap", segments=Segments.LABELMAP, otherwise=GENERIC_PACS, capture=True),
    Profile(
        name="pictures",
        segments=Segments.NONE,
        report=ReportClass.ENHANCED,
        parametric_map=False,
        capture=True,
    ),
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _BUILT_IN}
"""The profiles that need no configuration, by name."""

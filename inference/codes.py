"""Coded concepts, as DICOM and FHIR both carry them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8, "code sequence macro").

    Parameters
    ----------
    value
        Code Value (0008,0100).
    scheme
        Coding Scheme Designator (0008,0102), for example ``SCT``, ``DCM``, ``UCUM``, ``LN``.
    meaning
        Code Meaning (0008,0104), shown to people.
    """

    value: str
    scheme: str
    meaning: str


MILLILITRE = Code("ml", "UCUM", "ml")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "mm2")
MILLIMETRE = Code("mm", "UCUM", "mm")

VOLUME = Code("118565006", "SCT", "Volume")
AREA = Code("42798000", "SCT", "Area")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
MAXIMUM = Code("56851009", "SCT", "Maximum")
VOXEL_SUM = Code("126030", "DCM", "Sum of segmented voxel method for volume")

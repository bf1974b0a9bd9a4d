"""Small studies of fictional patients: a ball in a box, for what is not about a model's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import phantoms
from tests.acceptance.site import ISSUER
from tests.peers.sekmet import MRN_SYSTEM, Sekmet

SLICES = 24
SHAPE = (SLICES, 64, 64)
SPACING_MM = 2.0
RADIUS_MM = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallStudy:
    """A study on disk, and its patient in an EHR.

    Parameters
    ----------
    patient
        Reference of the patient (``Patient/7``); empty when the EHR does not know him.
    """

    folder: Path
    uid: str
    patient: str


def small_study(
    folder: Path,
    number: int,
    *,
    header: Mapping[str, Any] | None = None,
    order: Sequence[int] | None = None,
    patient: str = "",
) -> SmallStudy:
    """Write the study of patient `number`.

    Parameters
    ----------
    patient
        What `admit` gave.
    header, order
        See `inference.phantoms`.
    """
    affine = phantoms.grid(spacing_mm=(SPACING_MM, SPACING_MM, SPACING_MM))
    phantom = phantoms.Phantom(
        voxels=phantoms.sphere(affine, SHAPE, radius_mm=RADIUS_MM),
        affine=affine,
        header={
            "PatientID": f"OVR-{number:06d}",
            "IssuerOfPatientID": ISSUER,
            "PatientName": f"Ball^Number {number}",
            "PatientBirthDate": "19700101",
            "PatientSex": "F",
            "AccessionNumber": f"BALL{number}",
            **(header or {}),
        },
        entropy=f"acceptance {number}",
    )
    phantoms.write(phantom, folder, order=order)
    return SmallStudy(folder=folder, uid=phantom.uid("study"), patient=patient)


def admit(sekmet: Sekmet, number: int, *, birth_date: str = "1970-01-01") -> str:
    """Make patient `number` known to an EHR; return the reference."""
    created = sekmet.create({
        "resourceType": "Patient",
        "active": True,
        "identifier": [{"system": MRN_SYSTEM, "value": f"OVR-{number:06d}"}],
        "name": [{"family": "Ball", "given": [f"Number {number}"]}],
        "gender": "female",
        "birthDate": birth_date,
    })
    return f"Patient/{created['id']}"

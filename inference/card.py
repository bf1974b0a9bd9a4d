"""A model's card: everything the node needs to know of a model, in one ``card.toml``.

The card stands in the model's folder of the Triton repository, beside ``config.pbtxt``.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import declared, wanted
from inference.codes import Code
from inference.declared import Quantity, Question, Target, code, optional_code
from inference.errors import CardInvalid
from inference.keywords import understood
from inference.selection import Selection, SelectionInvalid
from inference.wanted import Wanted

LONGEST_AGO_DAYS = 36_500
"""No patient was imaged earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One series that the model needs.

    Parameters
    ----------
    name
        The name under which `analysis.analyse` receives it.
    select
        Which series qualify.
    """

    name: str
    select: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A series of an earlier study of the same patient, with which the model compares.

    Parameters
    ----------
    name
        Name of the tensor; the model is not given it where there is no such study.
    within_days
        How many days before the study it may have been made.
    select
        Which series qualify.
    """

    name: str
    within_days: int
    select: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What one value of the model's mask means (PS3.3 C.8.20.2).

    Parameters
    ----------
    number
        Segment Number (0062,0004), from 1 by 1; also the mask's value.
    label
        Segment Label (0062,0005), for people.
    category, type
        Segmented Property Category and Type (CID 7150, CID 7151).
    finding_site
        Where it lies, for segmentation and report; None when the type says it.
    colour_rgb
        Display colour, 0–255 each.
    type_modifier
        Narrows the type (0062,0011): the right one of two, for example, where the type is the organ itself.
    laterality
        On which side of the body `finding_site` is (CID 244); None for what is not paired.
    """

    number: int
    label: str
    category: Code
    type: Code
    finding_site: Code | None
    colour_rgb: tuple[int, int, int]
    type_modifier: Code | None = None
    laterality: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A model as the node knows it.

    Parameters
    ----------
    folder
        The model's folder in the Triton repository.
    name, version
        Of the model for people, and as they stand in every result.
    device_uid
        Device UID (0018,1002): changes whenever the model changes (IHE RAD AIR 6.5.3.1).
    manufacturer
        Who made the model: Algorithm Source (0024,0202).
    short_name
        At most 16 characters, for series descriptions.
    content_qualification
        ``RESEARCH`` or ``PRODUCT`` (0018,9004).
    procedure_reported
        The imaging procedure that the model reads, for the report's Procedure reported (121058, DCM),
        unless the study names its own.
    inputs
        The series that the model needs, by name, in the order of the card.
    context
        Names of the context features that it wants.
    orientation
        Axis codes of the grid the network wants, slowest axis first, ``RAS`` order of letters (``"RAS"``).
    spacing_mm
        Voxel size of that grid, one number for each axis of `orientation`.
    timeout_s
        Longest time the server may take.
    largest_component
        Keep only the largest connected region of each segment.
    fill_holes
        Fill holes inside each segment.
    segments
        What the mask's values mean.
    weights
        SHA-256 of each weight file, by its path inside `folder`.
    questions, targets, quantities
        What the model classifies, detects and measures beside its segments.
    most_places
        How many rows its output ``boxes`` has; 0 when it detects nothing.
    interpreted_by
        Names of context features without whose values nobody can read the result: a report may tell them
        where its destination's profile allows it.
    features
        What the names in `context` mean, where they are not ``age`` or ``sex``.
    explains
        Labels of the segments that the model's output ``saliency`` explains; empty when it has none.
    priors
        Series of earlier studies that it compares with, where there are any.
    """

    folder: Path
    name: str
    version: str
    device_uid: str
    manufacturer: str
    short_name: str
    content_qualification: str
    procedure_reported: Code
    inputs: tuple[Input, ...]
    context: tuple[str, ...]
    orientation: str
    spacing_mm: tuple[float, float, float]
    timeout_s: float
    largest_component: bool
    fill_holes: bool
    segments: tuple[Segment, ...]
    weights: Mapping[str, str]
    questions: tuple[Question, ...] = ()
    targets: tuple[Target, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    most_places: int = 0
    interpreted_by: tuple[str, ...] = ()
    features: tuple[Wanted, ...] = ()
    explains: tuple[str, ...] = ()
    priors: tuple[Prior, ...] = ()

    @property
    def key(self) -> str:
        """Name of `folder`: by it the server, the rules and the jobs know the model."""
        return self.folder.name

    @property
    def weights_digest(self) -> str:
        """One SHA-256 over the names and digests of all weight files."""
        listing = "\n".join(f"{name} {digest}" for name, digest in sorted(self.weights.items()))
        return hashlib.sha256(listing.encode()).hexdigest()


def load(folder: Path) -> Card:
    """Read ``card.toml`` of a model's folder.

    Raises
    ------
    CardInvalid
        The file is absent, is not TOML, or a key is missing or wrong; the AI team mends it.
    """
    path = folder / "card.toml"
    try:
        return _card(folder, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CardInvalid(f"{path}: {error.strerror}") from error
    except KeyError as error:
        raise CardInvalid(f"{path}: the key {error} is missing") from error
    except (SelectionInvalid, TypeError, ValueError) as error:
        raise CardInvalid(f"{path}: {error}") from error


def load_all(repository: Path) -> dict[str, Card]:
    """Read the cards of every model in a repository folder, by `Card.key`.

    Raises
    ------
    CardInvalid
        A card is wrong.
    """
    cards = (load(path.parent) for path in sorted(repository.glob("*/card.toml")))
    return {card.key: card for card in cards}


def check_weights(card: Card) -> None:
    """Compare the weight files with the digests of the card.

    Raises
    ------
    CardInvalid
        A file is absent or differs.
    """
    for name, digest in card.weights.items():
        path = card.folder / name
        if not path.is_file():
            raise CardInvalid(f"{path}: the card names this weight file, and it is not there")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise CardInvalid(f"{path}: the file's SHA-256 is not the one in the card")


def _card(folder: Path, table: Mapping[str, Any]) -> Card:
    model, preprocess, postprocess = table["model"], table["preprocess"], table["postprocess"]
    qualification = model["content_qualification"]
    if qualification not in {"RESEARCH", "PRODUCT"}:
        raise CardInvalid(
            f"{folder / 'card.toml'}: content_qualification must be RESEARCH or PRODUCT"
        )
    spacing = tuple(float(value) for value in preprocess["spacing_mm"])
    if len(spacing) != 3 or min(spacing) <= 0:
        raise CardInvalid(f"{folder / 'card.toml'}: spacing_mm must be three positive numbers")
    segments = tuple(_segment(segment) for segment in table.get("segment", ()))
    if [segment.number for segment in segments] != list(range(1, len(segments) + 1)):
        raise CardInvalid(f"{folder / 'card.toml'}: segments must be numbered from 1 by 1")
    return Card(
        folder=folder,
        name=model["name"],
        version=model["version"],
        device_uid=model["device_uid"],
        manufacturer=model["manufacturer"],
        short_name=model["short_name"],
        content_qualification=qualification,
        procedure_reported=code(model["procedure_reported"]),
        inputs=tuple(_input(item) for item in table["input"]),
        priors=_priors(table),
        context=tuple(table.get("context", {}).get("wants", ())),
        interpreted_by=_interpreted_by(table.get("context", {})),
        features=wanted.features(table.get("context", {})),
        orientation=preprocess["orientation"],
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        timeout_s=float(model["timeout_s"]),
        largest_component=bool(postprocess["largest_component"]),
        fill_holes=bool(postprocess["fill_holes"]),
        segments=segments,
        weights=dict(table["weights"]),
        **_beside_segments(table),
        explains=_explains(folder, table),
    )


def _beside_segments(table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, tuple[Question | Target | Quantity, ...]] = {
        "questions": tuple(map(declared.question, table.get("classification", ()))),
        "targets": tuple(map(declared.target, table.get("detection", ()))),
        "quantities": tuple(map(declared.quantity, table.get("measurement", ()))),
    }
    named = [item.label for items in found.values() for item in items]
    named += [item["label"] for item in table.get("segment", ())]
    if not named:
        raise ValueError(
            "a card names at least one segment, classification, detection or measurement"
        )
    if len(set(named)) < len(named):
        raise ValueError("no two things that a card names have one label")
    most = int(table["postprocess"].get("most_places", 0))
    if (most > 0) != bool(found["targets"]):
        raise ValueError("postprocess.most_places stands beside [[detection]], and is at least 1")
    return {**found, "most_places": most}


def _interpreted_by(context: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(context.get("interpreted_by", ()))
    if not set(names) <= set(context.get("wants", ())):
        raise ValueError("context.interpreted_by names only features that the model wants")
    return names


def _explains(folder: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    if "saliency" not in table:
        return ()
    explains = tuple(str(label) for label in table["saliency"]["explains"])
    labels = {segment["label"] for segment in table.get("segment", ())}
    if not explains or not set(explains) <= labels:
        raise CardInvalid(
            f"{folder / 'card.toml'}: saliency.explains must name labels of the card's segments"
        )
    return explains


def _input(table: Mapping[str, Any]) -> Input:
    return Input(name=table["name"], select=_selection("input", table))


def _priors(table: Mapping[str, Any]) -> tuple[Prior, ...]:
    priors = tuple(map(_prior, table.get("prior", ())))
    names = [one.name for one in priors] + [item["name"] for item in table["input"]]
    if len(set(names)) < len(names):
        raise ValueError("no two of a card's inputs and priors have one name")
    return priors


def _prior(table: Mapping[str, Any]) -> Prior:
    days, select = table["within_days"], _selection("prior", table)
    if isinstance(days, bool) or not isinstance(days, int) or not 0 < days <= LONGEST_AGO_DAYS:
        raise ValueError(f"prior {table['name']}: within_days is a number of days, at least 1")
    if "Modality" not in select.keys:
        # an earlier study holds reports and results too, and an archive is searched by it
        raise ValueError(f"prior {table['name']}: select must say which Modality it is of")
    return Prior(name=table["name"], within_days=days, select=select)


def _selection(what: str, table: Mapping[str, Any]) -> Selection:
    try:
        return understood(table.get("select", {}))
    except SelectionInvalid as error:
        where = f"{what} {table['name']}: select"
        raise SelectionInvalid([f"{where}.{fault}" for fault in error.faults]) from error


def _segment(table: Mapping[str, Any]) -> Segment:
    site, side = table.get("finding_site"), table.get("laterality")
    if side is not None and site is None:
        raise ValueError(f"segment {table['number']}: laterality needs a finding_site to be of")
    red, green, blue = (int(value) for value in table["colour_rgb"])
    return Segment(
        number=int(table["number"]),
        label=table["label"],
        category=code(table["category"]),
        type=code(table["type"]),
        finding_site=optional_code(site),
        colour_rgb=(red, green, blue),
        type_modifier=optional_code(table.get("type_modifier")),
        laterality=optional_code(side),
    )

"""The notice that a study was not analysed, and why: in the archive, where people look for the result.

It never looks like a report of no finding: it has a title of its own, no template, and no findings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from inference.card import Card
from inference.codes import Code
from inference.results import content
from inference.results.concepts import (
    COMMENT,
    ENGLISH,
    LANGUAGE,
    NOT_ANALYSED,
    OWN_SCHEME,
    REASON,
)
from inference.results.content import Relation
from inference.results.document import ENHANCED_SR, Document, written
from inference.results.headers import (
    copy_body_part,
    dress,
    identity,
    notice_description,
    series_number,
    series_uid,
)
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import finished, unnamed
from inference.results.pdf import wrapped
from inference.results.profile import Notice, Profile
from inference.results.report import observer

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WIDTH, HEIGHT = 640, 320
"""Of the picture, in pixels."""

_GROUND, _INK, _WARNING = (13, 15, 19), (235, 238, 242), (255, 193, 84)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a study was not analysed.

    Parameters
    ----------
    reason
        Reason code of the node (``GAP``).
    detail
        The same for people, as the end of a sentence, free of patient data.
    delayed
        The analysis goes on, and only its time is over.
    """

    reason: str
    detail: str
    delayed: bool = False


def notice(
    headers: Sequence[Dataset], card: Card, request: ResultRequest, profile: Profile, why: Why
) -> ResultObject | None:
    """Return the notice for one study and one model; None where a destination wants none.

    Parameters
    ----------
    headers
        Headers of the instances that were not analysed, at least one; patient and study are the first one's.
    card
        The model that did not run.
    why
        The reason.
    """
    if profile.notice is Notice.NONE:
        return None
    if profile.notice is Notice.SC:
        return _picture(headers, card, request, why)
    document = Document(
        kind=Kind.SR,
        sop_class_uid=ENHANCED_SR,
        title=NOT_ANALYSED,
        template=None,
        children=(
            content.coded(LANGUAGE, ENGLISH, relation=Relation.HAS_CONCEPT_MOD),
            *observer(request),
            content.coded(REASON, Code(why.reason, OWN_SCHEME, why.detail[:64])),
            *(content.sentence(COMMENT, words) for words in sentences(card, why)),
        ),
        evidence=headers,
        description=notice_description(card),
    )
    return written(document, headers[0], card, request)


def sentences(card: Card, why: Why) -> tuple[str, ...]:
    """Return the notice in words."""
    found = (
        "There is no result yet, so nothing can be concluded. One that comes takes the place of this notice."
        if why.delayed
        else "Nothing was looked for, so nothing can be concluded."
    )
    return (
        f"AI did not run, because {why.detail} ({why.reason}).",
        f"Model: {card.name} {card.version}. {found}",
    )


def _picture(
    headers: Sequence[Dataset], card: Card, request: ResultRequest, why: Why
) -> ResultObject:
    """Return the notice as a picture (PS3.3 A.8.1), for viewers that show nothing else."""
    header = headers[0]
    dataset = unnamed(SECONDARY_CAPTURE)
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.BurnedInAnnotation = "NO"  # no patient stands in the pixels
    dataset.SeriesInstanceUID = series_uid(header, card, Kind.SC, request)
    dataset.SeriesNumber = series_number(request, Kind.SC)
    dataset.InstanceNumber = 1
    dataset.PatientOrientation = ""
    copy_body_part(dataset, header)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.Rows, dataset.Columns = HEIGHT, WIDTH
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = _drawn(card, why)
    dataset["PixelData"].VR = "OB"
    dress(dataset, identity(header), card, request, Kind.SC)
    dataset.SeriesDescription = notice_description(card)
    return finished(Kind.SC, dataset, uid_root=request.uid_root)


def _drawn(card: Card, why: Why) -> bytes:
    picture = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((28, 28), NOT_ANALYSED.meaning, _WARNING, ImageFont.load_default(26))
    y = 84.0
    for words in sentences(card, why):
        for line in wrapped(words, 19, WIDTH - 56):
            draw.text((28, y), line, _INK, ImageFont.load_default(18))
            y += 27
        y += 12
    return np.asarray(picture).tobytes()

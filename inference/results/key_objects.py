"""The key images of a result as a Key Object Selection (PS3.16 TID 2010)."""

from inference.findings import Result
from inference.results import content
from inference.results.concepts import ENGLISH, KEY_OBJECT_DESCRIPTION, LANGUAGE, OF_INTEREST
from inference.results.content import Relation
from inference.results.document import KEY_OBJECT_SELECTION, Document, written
from inference.results.evaluations import RESEARCH, standing
from inference.results.marks import frame, key_slices, marks
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.profile import Profile
from inference.results.report import observer


def key_objects(result: Result, request: ResultRequest, profile: Profile) -> ResultObject | None:
    """Return the selection of the images that show the findings best; None when there are none or unwanted."""
    slices = key_slices(result)
    if not slices or not profile.key_objects:
        return None
    series = result.series
    labels = ", ".join(dict.fromkeys(mark.label for mark in marks(result)))
    words = [f"Key images of: {labels}.", standing(result.card)]
    if result.card.content_qualification == "RESEARCH":
        words.append(RESEARCH)
    # An item of these has no concept name: PixelMed's validator forbids one (TID 2010 names no purpose).
    images = [content.image(None, frame(series, index)) for index in slices]
    document = Document(
        kind=Kind.KO,
        sop_class_uid=KEY_OBJECT_SELECTION,
        title=OF_INTEREST,
        template="2010",
        children=(
            content.coded(LANGUAGE, ENGLISH, relation=Relation.HAS_CONCEPT_MOD),
            *observer(request),
            content.sentence(KEY_OBJECT_DESCRIPTION, " ".join(words)),
            *images,
        ),
        evidence=[series.headers[where] for where in sorted({series.frames[i][0] for i in slices})],
    )
    return written(document, series.headers[0], result.card, request)

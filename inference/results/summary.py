"""A result on one page, as an encapsulated PDF (PS3.3 A.45.1), for whoever shows nothing else."""

from pydicom import Dataset

from inference.card import Card
from inference.findings import KeyPicture, Result
from inference.results import pdf
from inference.results.evaluations import RESEARCH, remarks, standing
from inference.results.headers import dress, identity, series_number, series_uid
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import finished, unnamed
from inference.results.pdf import Page, wrapped
from inference.results.profile import Profile
from inference.telling import Told, told

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
MOST_ROWS = 18
"""Findings that the table has room for; more of them stand in the report."""
MOST_PICTURES = 4
NOT_FOR_DIAGNOSIS = "AI result, not for primary diagnosis"

_EDGE, _FULL = 42.0, pdf.WIDTH - 84.0
_FAINT, _RULE, _WARNING = (105, 112, 122), (226, 229, 233), (255, 224, 160)
_COLUMNS = (0.0, 150.0, 220.0)
_PICTURES_HEIGHT, _GAP = 260.0, 10.0
_MOST_LINES = 14


def summary(result: Result, request: ResultRequest, profile: Profile) -> ResultObject | None:
    """Return the page as an object; None where it is unwanted."""
    if not profile.summary:
        return None
    header, card = result.series.headers[0], result.card
    content = page(result, profile)
    dataset = unnamed(ENCAPSULATED_PDF)
    dataset.Modality = "DOC"
    dataset.ConversionType = "WSD"  # made by a workstation, not scanned (PS3.3 C.8.6.1)
    dataset.SeriesInstanceUID = series_uid(header, card, Kind.DOC, request)
    dataset.SeriesNumber = series_number(request, Kind.DOC)
    dataset.InstanceNumber = 1
    dataset.AcquisitionDateTime = ""  # Type 2: it was derived from many images
    dataset.BurnedInAnnotation = "NO"  # the page names no patient
    dataset.DocumentTitle = _title(card)
    dataset.ConceptNameCodeSequence = []
    dataset.SourceInstanceSequence = [_reference(one) for one in result.series.headers]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    dataset.EncapsulatedDocumentLength = len(content)
    dress(dataset, identity(header), card, request, Kind.DOC)
    return finished(Kind.DOC, dataset, uid_root=request.uid_root)


def page(result: Result, profile: Profile) -> bytes:
    """Draw the page: what was found, the key images, the model and its limits; it names no patient."""
    drawn = Page(title=_title(result.card))
    drawn.text(_EDGE, 56, _title(result.card), size=17, bold=True)
    _warn(drawn, result.card)
    y = _table(drawn, told(result))
    y = _show(drawn, y + 20, result.pictures[:MOST_PICTURES])
    _explain(drawn, y + 24, result, profile)
    return drawn.finished()


def _title(card: Card) -> str:
    return f"AI result: {card.name} {card.version}"[:64]


def _warn(drawn: Page, card: Card) -> None:
    drawn.box(_EDGE, 68, _FULL, 34, _WARNING)
    research = f" {RESEARCH}" if card.content_qualification == "RESEARCH" else ""
    drawn.text(_EDGE + 8, 82, f"{NOT_FOR_DIAGNOSIS}.{research}", size=10, bold=True)
    drawn.text(_EDGE + 8, 96, standing(card), size=9)


def _table(drawn: Page, rows: tuple[Told, ...]) -> float:
    """Write what was found, and return how far down that reaches."""
    y = 122.0
    for x, head in zip(_COLUMNS, ("Looked for", "Answer", "Values"), strict=True):
        drawn.text(_EDGE + x, y, head, size=8, ink=_FAINT)
    shown = rows if len(rows) <= MOST_ROWS else rows[: MOST_ROWS - 1]
    for row in shown:
        y += 13.5
        drawn.box(_EDGE, y - 10, _FULL, 0.5, _RULE)
        values = ", ".join(part for part in (row.values, row.planar) if part)
        for x, words, room in (
            (_COLUMNS[0], row.label, _COLUMNS[1] - 6),
            (_COLUMNS[1], row.answer, _COLUMNS[2] - _COLUMNS[1] - 6),
            (_COLUMNS[2], values, _FULL - _COLUMNS[2]),
        ):
            drawn.text(_EDGE + x, y, _fitting(words, room), bold=x == 0)
    if len(rows) > len(shown):
        left = len(rows) - len(shown)
        y += 13.5
        drawn.text(_EDGE, y, f"and {left} more, in the structured report.", ink=_FAINT)
    return y


def _show(drawn: Page, y: float, pictures: tuple[KeyPicture, ...]) -> float:
    """Place the pictures side by side, at one height that leaves room for all, and return how far down."""
    if not pictures:
        return y
    ratios = [one.pixels.shape[1] / one.pixels.shape[0] for one in pictures]
    room = _FULL - _GAP * (len(pictures) - 1)
    height = min(_PICTURES_HEIGHT, room / sum(ratios))
    x = _EDGE
    for one, ratio in zip(pictures, ratios, strict=True):
        drawn.picture(x, y, height * ratio, height, one.pixels)
        drawn.text(x, y + height + 10, f"Slice {one.index + 1}", size=7, ink=_FAINT)
        x += height * ratio + _GAP
    return y + height


def _explain(drawn: Page, y: float, result: Result, profile: Profile) -> None:
    card = result.card
    model = (
        f"Model: {card.name} {card.version}, {card.manufacturer}. Device UID {card.device_uid}. "
        f"Weights SHA-256 {card.weights_digest}."
    )
    limits = [
        words for words in remarks(result, profile) if words not in {standing(card), RESEARCH}
    ]
    lines = [line for words in (model, *limits) for line in wrapped(words, 8, _FULL)]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], "Further remarks stand in the structured report."]
    for line in lines:
        drawn.text(_EDGE, y, line, size=8, ink=_FAINT)
        y += 10.5


def _fitting(words: str, room: float) -> str:
    """Cut a text to the room that there is, and show that it was cut."""
    if pdf.width_of(words, 9, bold=True) <= room:
        return words
    while words and pdf.width_of(f"{words}…", 9, bold=True) > room:
        words = words[:-1]
    return f"{words}…"


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference

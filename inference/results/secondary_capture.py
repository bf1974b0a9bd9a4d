"""The key slices as a colour secondary capture, for viewers that show pictures and nothing else.

What stands in the pixels was drawn once, by `inference.rendering`; it names no patient. One multi-frame
object (PS3.3 A.8.5) holds all of them; for an archive that refuses that class each is one object (A.8.1).
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from inference.findings import KeyPicture, Result
from inference.rendering.marks import side
from inference.results.concepts import KEY_FRAMES, SOURCE_IMAGE, coded
from inference.results.derivation import examined_part, lossy, source_image
from inference.results.headers import dress, identity, series_number, series_uid
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import UNNAMED, finished_with_pixels
from inference.results.profile import Profile
from inference.results.uncompressed import Uncompressed

SINGLE_FRAME = UID("1.2.840.10008.5.1.4.1.1.7")
MULTI_FRAME_TRUE_COLOUR = UID("1.2.840.10008.5.1.4.1.1.7.4")

_PAGE_NUMBER_VECTOR = 0x00182001


def secondary_captures(
    result: Result, request: ResultRequest, profile: Profile
) -> tuple[ResultObject, ...]:
    """Return the key slices of `result` as captures: one object, several, or none.

    Parameters
    ----------
    profile
        Whether they are wanted, and in which class.
    """
    if not profile.capture or not result.pictures:
        return ()
    if profile.single_frames:
        return tuple(
            _capture(result, request, [picture], number)
            for number, picture in enumerate(result.pictures, start=1)
        )
    return (_capture(result, request, result.pictures, number=None),)


def _capture(
    result: Result, request: ResultRequest, pictures: Sequence[KeyPicture], number: int | None
) -> ResultObject:
    """Return one object: a single picture as instance `number` of its series, or all of them in one."""
    series = result.series
    header = series.headers[0]
    dataset = _named(SINGLE_FRAME if number else MULTI_FRAME_TRUE_COLOUR)
    dataset.SeriesInstanceUID = series_uid(header, result.card, Kind.SC, request)
    dataset.SeriesNumber = series_number(request, Kind.SC)
    dataset.InstanceNumber = number or 1
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    examined_part(dataset, series.headers)
    _describe_image(dataset, result, pictures)
    _describe_pixels(dataset, pictures)
    if number is None:
        dataset.NumberOfFrames = len(pictures)
    if len(pictures) > 1:  # 1C: not for a single frame (PS3.3 C.7.6.6.1.1, C.8.6.3)
        dataset.FrameIncrementPointer = _PAGE_NUMBER_VECTOR
        dataset.PageNumberVector = list(range(1, len(pictures) + 1))
    dress(dataset, identity(header), result.card, request, Kind.SC)
    pixels = Uncompressed(frames=[one.pixels for one in pictures])
    return finished_with_pixels(Kind.SC, dataset, pixels, uid_root=request.uid_root)


def _named(sop_class_uid: UID) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, UNNAMED
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(UNNAMED)
    return dataset


def _describe_image(dataset: Dataset, result: Result, pictures: Sequence[KeyPicture]) -> None:
    """Say what it is and what it was made from (PS3.3 C.7.6.1, C.7.6.12)."""
    series, card = result.series, result.card
    plane = series.planes[0]
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = [side(plane.row_direction), side(plane.column_direction)]
    dataset.DerivationDescription = (
        f"Key slices with the findings of {card.name} {card.version} drawn in. "
        "AI, not for primary diagnosis."
    )
    dataset.DerivationCodeSequence = [coded(KEY_FRAMES)]
    purpose = coded(SOURCE_IMAGE)
    dataset.SourceImageSequence = [source_image(series, one.index, purpose) for one in pictures]
    dataset.LossyImageCompression = lossy(series)
    dataset.ImageComments = "\n".join(line for one in pictures for line in one.lines)[:10240]


def _describe_pixels(dataset: Dataset, pictures: Sequence[KeyPicture]) -> None:
    """Describe uncompressed colour with text in it, which every archive and viewer takes (PS3.3 C.7.6.3)."""
    rows, columns, samples = pictures[0].pixels.shape
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.BurnedInAnnotation = "YES"

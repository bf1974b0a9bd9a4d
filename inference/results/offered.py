"""What an archive must accept to be given results in a profile: SOP classes with their transfer syntaxes."""

from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from inference.results.document import KEY_OBJECT_SELECTION
from inference.results.presentation_state import GRAYSCALE_SOFTCOPY_PRESENTATION_STATE
from inference.results.profile import Profile, Segments
from inference.results.report import SOP_CLASSES
from inference.results.secondary_capture import MULTI_FRAME_TRUE_COLOUR, SINGLE_FRAME
from inference.results.summary import ENCAPSULATED_PDF

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def offered(profile: Profile, *, saliency: bool) -> tuple[tuple[str, str], ...]:
    """Return pairs of SOP Class UID and Transfer Syntax UID, each of which a result may have.

    Parameters
    ----------
    saliency
        Whether one of the models gives a saliency map.
    """
    plain = {
        PARAMETRIC_MAP: saliency and profile.parametric_map,
        str(MULTI_FRAME_TRUE_COLOUR): profile.capture and not profile.single_frames,
        str(SINGLE_FRAME): profile.capture and profile.single_frames,
        KEY_OBJECT_SELECTION: profile.key_objects,
        GRAYSCALE_SOFTCOPY_PRESENTATION_STATE: profile.presentation_state,
        ENCAPSULATED_PDF: profile.summary,
        SOP_CLASSES[profile.report]: True,
    }
    pairs = [(uid, str(ExplicitVRLittleEndian)) for uid, wanted in plain.items() if wanted]
    binary = profile.segments is Segments.BINARY
    if binary:
        pairs.insert(0, (SEGMENTATION, str(ExplicitVRLittleEndian)))
    if profile.segments is Segments.LABELMAP or (binary and profile.labelmap_for_odd_matrices):
        pairs.insert(0, (LABEL_MAP_SEGMENTATION, str(RLELossless)))
    return tuple(pairs)

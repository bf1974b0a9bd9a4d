"""What the listener accepts: SOP classes and transfer syntaxes.

The acceptor's order decides between the syntaxes of one presentation context (PS3.8 9.3.3.2), so the
uncompressed ones stand first and the lossy ones last: a peer is never led to compress for us.
"""

from collections.abc import Sequence

from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

UNCOMPRESSED = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian (retired)
    "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed Explicit VR Little Endian
)
LOSSLESS = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless only
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2 Lossless only
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless only
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless, RPCL
    "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
    "1.2.840.10008.1.2.4.111",  # JPEG XL JPEG recompression
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
)
LOSSY = (
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.93",  # JPEG 2000 Part 2
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.4.112",  # JPEG XL
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.100",  # MPEG2 Main Profile / Main Level
    "1.2.840.10008.1.2.4.100.1",
    "1.2.840.10008.1.2.4.101",  # MPEG2 Main Profile / High Level
    "1.2.840.10008.1.2.4.101.1",
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264
    "1.2.840.10008.1.2.4.102.1",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.103.1",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.104.1",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.105.1",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.106.1",
    "1.2.840.10008.1.2.4.107",  # HEVC/H.265
    "1.2.840.10008.1.2.4.108",
)
TRANSFER_SYNTAXES = (*UNCOMPRESSED, *LOSSLESS, *LOSSY)
"""Every transfer syntax of a stored object, in the order in which we prefer them.

JPIP (…4.94, .95, .204, .205) and SMPTE ST 2110 (…7.1 to .3) are left out: there the pixels are elsewhere
and the object alone could not be kept.
"""


def storage_classes(more: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the storage SOP classes that are taken: every one that pynetdicom knows, and `more`.

    Parameters
    ----------
    more
        Those that the site names, vendors' private ones above all.
    """
    known = (context.abstract_syntax for context in AllStoragePresentationContexts)
    return tuple(dict.fromkeys([*(str(uid) for uid in known if uid is not None), *more]))


def supported_contexts(more: Sequence[str] = ()) -> list[PresentationContext]:
    """Return what the acceptor offers: the classes of `storage_classes`, and Verification."""
    storage = [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in storage_classes(more)]
    return [*storage, build_context(Verification, list(UNCOMPRESSED[:2]))]

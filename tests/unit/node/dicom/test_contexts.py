from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.sop_class import Verification

from node.dicom.contexts import (
    LOSSLESS,
    LOSSY,
    TRANSFER_SYNTAXES,
    UNCOMPRESSED,
    storage_classes,
    supported_contexts,
)

PIXELS_ELSEWHERE = {
    *(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205)),
    *(f"1.2.840.10008.1.2.7.{number}" for number in (1, 2, 3)),
}


def test_every_transfer_syntax_is_taken_but_those_whose_pixels_are_elsewhere() -> None:
    known = {str(syntax) for syntax in ALL_TRANSFER_SYNTAXES}
    assert known - set(TRANSFER_SYNTAXES) == PIXELS_ELSEWHERE
    assert not set(TRANSFER_SYNTAXES) & PIXELS_ELSEWHERE
    assert len(set(TRANSFER_SYNTAXES)) == len(TRANSFER_SYNTAXES)


def test_uncompressed_stands_before_lossless_and_lossless_before_lossy() -> None:
    order = {syntax: place for place, syntax in enumerate(TRANSFER_SYNTAXES)}
    assert TRANSFER_SYNTAXES[0] == "1.2.840.10008.1.2.1"
    assert TRANSFER_SYNTAXES[1] == "1.2.840.10008.1.2"
    for earlier, later in ((UNCOMPRESSED, LOSSLESS), (LOSSLESS, LOSSY)):
        assert max(order[syntax] for syntax in earlier) < min(order[syntax] for syntax in later)


def test_what_may_lose_is_not_called_lossless() -> None:
    # the standard's own names (PS3.6 Table A-1): "Only" and "Lossless" promise, their absence does not
    irreversible = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81, 91, 93, 112, 203)}
    assert irreversible <= set(LOSSY)


def test_every_storage_class_is_offered_in_the_same_order() -> None:
    contexts = supported_contexts()
    offered = {str(context.abstract_syntax): context.transfer_syntax for context in contexts}
    for known in AllStoragePresentationContexts:
        assert tuple(offered[str(known.abstract_syntax)]) == TRANSFER_SYNTAXES
    assert offered[str(Verification)] == list(UNCOMPRESSED[:2])
    assert len(contexts) == len(AllStoragePresentationContexts) + 1


def test_a_private_class_is_offered_only_where_the_site_names_it() -> None:
    private, known = "1.3.12.2.1107.5.9.1", str(AllStoragePresentationContexts[0].abstract_syntax)
    assert private not in storage_classes()
    offered = {str(one.abstract_syntax): one for one in supported_contexts((private, known))}
    assert tuple(offered[private].transfer_syntax) == TRANSFER_SYNTAXES
    assert len(offered) == len(supported_contexts()) + 1

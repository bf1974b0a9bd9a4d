"""Content items as bytes, read by pydicom and built by highdicom beside them."""

import io

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset

from inference.codes import Code
from inference.results import content
from inference.results.concepts import concept
from inference.results.content import Item, Reference, Relation
from inference.results.explicit import text

NAME = Code("121071", "DCM", "Finding")
VALUE = Code("50960005", "SCT", "Hemorrhage")
MILLIMETRE = Code("mm", "UCUM", "mm")
IMAGE = Reference(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid="2.25.77", frame_number=3
)
POINTS = np.array([(1.5, 2.25), (7, 2.25), (7, 9), (1.5, 2.25)])
CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


def read(item: Item) -> Dataset:
    encoded = text("SpecificCharacterSet", "ISO_IR 192") + item.encoded()
    return read_dataset(io.BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)


PAIRS = {
    "code": (
        content.coded(NAME, VALUE),
        hd.sr.CodeContentItem(name=concept(NAME), value=concept(VALUE), relationship_type=CONTAINS),
    ),
    "text": (
        content.sentence(NAME, "Befund geprüft"),
        hd.sr.TextContentItem(
            name=concept(NAME), value="Befund geprüft", relationship_type=CONTAINS
        ),
    ),
    "uid": (
        content.uid(NAME, "2.25.123"),
        hd.sr.UIDRefContentItem(name=concept(NAME), value="2.25.123", relationship_type=CONTAINS),
    ),
    "number": (
        content.number(NAME, 14.25, MILLIMETRE),
        hd.sr.NumContentItem(
            name=concept(NAME), value=14.25, unit=concept(MILLIMETRE), relationship_type=CONTAINS
        ),
    ),
    "image": (
        content.image(NAME, IMAGE),
        hd.sr.ImageContentItem(
            name=concept(NAME),
            referenced_sop_class_uid=IMAGE.sop_class_uid,
            referenced_sop_instance_uid=IMAGE.sop_instance_uid,
            referenced_frame_numbers=[3],
            relationship_type=CONTAINS,
        ),
    ),
    "points in the patient": (
        content.coordinates_3d(NAME, "POLYLINE", np.column_stack([POINTS, POINTS[:, 0]]), "2.25.9"),
        hd.sr.Scoord3DContentItem(
            name=concept(NAME),
            graphic_type="POLYLINE",
            graphic_data=np.column_stack([POINTS, POINTS[:, 0]]),
            frame_of_reference_uid="2.25.9",
            relationship_type=CONTAINS,
        ),
    ),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_an_item_is_what_highdicom_makes_of_it(kind: str) -> None:
    ours, theirs = PAIRS[kind]
    written = read(ours).to_json_dict()
    del written["00080005"]
    expected = theirs.to_json_dict()
    written.get("0040A300", {}).get("Value", [{}])[0].pop("0040A161", None)
    expected.get("0040A300", {}).get("Value", [{}])[0].pop("0040A161", None)
    assert written == expected


def test_a_number_stands_there_as_decimal_and_as_binary() -> None:
    measured = read(content.number(NAME, 1 / 3, MILLIMETRE)).MeasuredValueSequence[0]
    assert measured.FloatingPointValue == 1 / 3
    assert len(str(measured.NumericValue)) <= 16
    assert float(measured.NumericValue) == pytest.approx(1 / 3, abs=1e-13)


def test_points_on_an_image_name_it_below() -> None:
    item = read(content.coordinates(NAME, "POLYLINE", POINTS, IMAGE))
    assert item.GraphicData == POINTS.ravel().tolist()
    (image,) = item.ContentSequence
    assert image.RelationshipType == "SELECTED FROM"
    assert "ConceptNameCodeSequence" not in image
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == 3


def test_a_tree_keeps_its_order_and_its_relations() -> None:
    inner = [
        content.coded(NAME, VALUE, relation=Relation.HAS_CONCEPT_MOD),
        content.sentence(NAME, "second"),
    ]
    root = read(content.container(NAME, [content.container(NAME, inner, template="1410")]))
    (group,) = root.ContentSequence
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
    assert [one.RelationshipType for one in group.ContentSequence] == [
        "HAS CONCEPT MOD",
        "CONTAINS",
    ]


def test_a_code_that_is_too_long_has_its_own_place() -> None:
    long = Code("MIXED-FRAME-OF-REFERENCE", "99OVERREAD", "no common frame of reference")
    value = read(content.coded(NAME, long)).ConceptCodeSequence[0]
    assert value.LongCodeValue == long.value
    assert "CodeValue" not in value
    assert [element.tag for element in value] == sorted(element.tag for element in value)


def test_every_scheme_of_a_tree_is_known() -> None:
    private = Code("score", "99MODEL", "Score")
    tree = content.container(
        NAME, [content.coded(NAME, VALUE, children=[content.number(private, 1, MILLIMETRE)])]
    )
    assert set(tree.schemes()) == {"DCM", "SCT", "99MODEL", "UCUM"}

"""What a Segmentation says of each segment (PS3.3 C.8.20.4), as the model's card has it."""

import highdicom as hd
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

from inference.card import Card, Segment
from inference.findings import Finding
from inference.results.concepts import ARTIFICIAL_INTELLIGENCE, coded, concept


def description(card: Card, finding: Finding) -> SegmentDescription:
    """Return the item of Segment Sequence (0062,0002) of a finding."""
    segment = finding.segment
    item = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=card.name,
            family=concept(ARTIFICIAL_INTELLIGENCE),
            version=card.version,
            source=card.manufacturer,
            parameters={"weights_sha256": card.weights_digest},
        ),
        tracking_id=finding.tracking_identifier,
        tracking_uid=finding.tracking_uid,
        anatomic_regions=_regions(segment),
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour_rgb),
    )
    if segment.type_modifier is not None:
        # highdicom has no argument for it: an item within the type's own (PS3.3 Table C.8.20-4).
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [coded(segment.type_modifier)]
    return item


def _regions(segment: Segment) -> list[hd.sr.CodedConcept] | None:
    if segment.finding_site is None:
        return None
    region = concept(segment.finding_site)
    if segment.laterality is not None:
        region.AnatomicRegionModifierSequence = [coded(segment.laterality)]
    return [region]

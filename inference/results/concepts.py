"""Coded concepts that our objects use, and their two written forms."""

import highdicom as hd
from pydicom import Dataset

from inference.codes import Code

ABSENT = Code("272519000", "SCT", "Absent")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
COMMENT = Code("121106", "DCM", "Comment")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
KEY_FRAMES = Code("113091", "DCM", "Spatially-related frames extracted from the volume")
NO_UNITS = Code("1", "UCUM", "no units")
PATIENT = Code("121025", "DCM", "Patient")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
SUBJECT_AGE = Code("121033", "DCM", "Subject Age")
SUBJECT_CLASS = Code("121024", "DCM", "Subject Class")
SUBJECT_SEX = Code("121032", "DCM", "Subject Sex")
UNSPECIFIED_METHOD = Code("112187", "DCM", "Unspecified method of calculation")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")


def coded(code: Code) -> Dataset:
    """Return `code` as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def concept(code: Code) -> hd.sr.CodedConcept:
    """Return `code` as highdicom's coded concept."""
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)

"""Coded concepts that our objects use, and their two written forms."""

import highdicom as hd
from pydicom import Dataset

from inference.codes import Code

OWN_SCHEME = "99OVERREAD"
"""Our own coding scheme, for what no standard has a code for; declared in every object that uses it."""

ABSENT = Code("272519000", "SCT", "Absent")
ALGORITHM_FAMILY = Code("111000", "DCM", "Algorithm Family")
ALGORITHM_MANUFACTURER = Code("122405", "DCM", "Algorithm Manufacturer")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
COMMENT = Code("121106", "DCM", "Comment")
DERIVATION = Code("121401", "DCM", "Derivation")
DEVICE = Code("121007", "DCM", "Device")
DEVICE_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
DEVICE_SERIAL_NUMBER = Code("121016", "DCM", "Device Observer Serial Number")
DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
ENGLISH = Code("en", "RFC5646", "English")
FINDING = Code("121071", "DCM", "Finding")
FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")
KEY_FRAMES = Code("113091", "DCM", "Spatially-related frames extracted from the volume")
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
LATERALITY = Code("272741003", "SCT", "Laterality")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
MEASUREMENT_METHOD = Code("370129005", "SCT", "Measurement Method")
NOT_ANALYSED = Code("not-analysed", OWN_SCHEME, "AI analysis not performed")
NO_UNITS = Code("1", "UCUM", "no units")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
OF_INTEREST = Code("113000", "DCM", "Of Interest")
PATIENT = Code("121025", "DCM", "Patient")
PRESENT = Code("52101004", "SCT", "Present")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
REASON = Code("reason", OWN_SCHEME, "Reason")
REFERENCED_SEGMENT = Code("121191", "DCM", "Referenced Segment")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
SOURCE = Code("260753009", "SCT", "Source")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
SOURCE_SERIES = Code("121232", "DCM", "Source series for segmentation")
SUBJECT_AGE = Code("121033", "DCM", "Subject Age")
SUBJECT_CLASS = Code("121024", "DCM", "Subject Class")
SUBJECT_SEX = Code("121032", "DCM", "Subject Sex")
THRESHOLD = Code("threshold", OWN_SCHEME, "Operating threshold")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
UNIT_RANGE = Code("{0:1}", "UCUM", "range: 0:1")
UNSPECIFIED_METHOD = Code("112187", "DCM", "Unspecified method of calculation")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")


def coded(code: Code) -> Dataset:
    """Return `code` as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    setattr(item, value_keyword(code), code.value)
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def value_keyword(code: Code) -> str:
    """Return where the value of a code stands: beyond sixteen characters it has its own place (PS3.3 8.1)."""
    return "CodeValue" if len(code.value) <= 16 else "LongCodeValue"


def concept(code: Code) -> hd.sr.CodedConcept:
    """Return `code` as highdicom's coded concept."""
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)

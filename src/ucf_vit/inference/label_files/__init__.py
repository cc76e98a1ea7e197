"""Files of segmentations: in the format of the image or a requested one, on exactly its grid."""

from ucf_vit.inference.label_files.choose import FORMATS, LabelFormat, format_by_name, format_of
from ucf_vit.inference.label_files.label_format import LabelClass, label_classes
from ucf_vit.inference.label_files.probabilities import PROBABILITIES, write_probabilities

__all__ = [
    "FORMATS",
    "PROBABILITIES",
    "LabelClass",
    "LabelFormat",
    "format_by_name",
    "format_of",
    "label_classes",
    "write_probabilities",
]

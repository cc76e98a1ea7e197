"""Files of segmentations: in the format of the image or a requested one, on exactly its grid."""

from ucf_vit.inference.label_files.choose import FORMATS, LabelFormat, format_of
from ucf_vit.inference.label_files.label_format import LabelClass
from ucf_vit.inference.label_files.probabilities import PROBABILITIES, write_probabilities

__all__ = ["FORMATS", "PROBABILITIES", "LabelClass", "LabelFormat", "format_of", "write_probabilities"]

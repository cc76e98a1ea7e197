"""NIfTI files: headers, and arrays of which only the part that is used is read."""

from ucf_vit.data.formats.nifti.geometry import difference
from ucf_vit.data.formats.nifti.header import SUFFIXES, NiftiHeader, read_header, read_shape
from ucf_vit.data.formats.nifti.volumes import Volume, Volumes

__all__ = ["SUFFIXES", "NiftiHeader", "Volume", "Volumes", "difference", "read_header", "read_shape"]

"""NIfTI files: headers, and arrays of which only the part that is used is read."""

from ucf_vit.data.formats.nifti.header import SUFFIXES, NiftiHeader, read_geometry, read_header, read_shape
from ucf_vit.data.formats.nifti.volumes import Volume, Volumes
from ucf_vit.data.formats.nifti.write import write_like

__all__ = [
    "SUFFIXES",
    "NiftiHeader",
    "Volume",
    "Volumes",
    "read_geometry",
    "read_header",
    "read_shape",
    "write_like",
]

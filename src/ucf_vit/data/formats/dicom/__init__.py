"""Slices of DICOM series: positions from headers, and values of pixels."""

from ucf_vit.data.formats.dicom.geometry import geometry_of
from ucf_vit.data.formats.dicom.headers import Slice, read_slice
from ucf_vit.data.formats.dicom.pixels import decode
from ucf_vit.data.formats.dicom.volume import ordered

__all__ = ["Slice", "decode", "geometry_of", "ordered", "read_slice"]

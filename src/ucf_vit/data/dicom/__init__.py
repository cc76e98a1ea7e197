"""Slices of DICOM series: where each lies by its header, and what its pixels mean."""

from ucf_vit.data.dicom.headers import Slice, read_slice
from ucf_vit.data.dicom.pixels import decode
from ucf_vit.data.dicom.volume import ordered

__all__ = ["Slice", "decode", "ordered", "read_slice"]

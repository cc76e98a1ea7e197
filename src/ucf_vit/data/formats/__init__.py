"""File formats, one per file; those of gridded fields share one interface."""

from ucf_vit.data.formats.field_file import STORES, SUFFIXES, FieldFile, open_fields
from ucf_vit.data.formats.remote_zarr import open_remote_zarr

__all__ = ["STORES", "SUFFIXES", "FieldFile", "open_fields", "open_remote_zarr"]

"""Writes values on the grid of another NIfTI file, with its header."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.data.formats.nifti.header import read_header, read_stored_header
from ucf_vit.data.reading import reading
from ucf_vit.data.storage import Files

_OF_VALUES = {"scl_slope": np.nan, "scl_inter": np.nan, "cal_min": 0, "cal_max": 0}


def write_like(path: Path, values: NDArray[Any], original: str, files: Files | None = None) -> None:
    """Writes `values` `[X, Y, Z]` to `path` (.nii or .nii.gz) with the header of the file `original`.

    Every field that places voxels in space (sform, qform, spacing, unit) stays as it is, bit by bit, also in
    headers that contradict themselves; only those that describe the values change: number of axes, type,
    scale and range of display. Raises DataError where the shape is not that of the original.
    """
    shape = read_header(original, files).shape[:3]
    if values.shape != shape:
        raise DataError(f"{path}: values have the shape {values.shape}, {original} has {shape}")
    with reading(original, "no readable NIfTI header"):
        header = read_stored_header(original, files)
    raw, dims = header.structarr, min(int(header.structarr["dim"][0]), 3)
    raw["dim"] = [dims, *shape[:dims], *[1] * (7 - dims)]
    header.set_data_dtype(values.dtype)
    for name, value in _OF_VALUES.items():
        raw[name] = value
    raw["vox_offset"], raw["magic"] = header.single_vox_offset, header.single_magic
    between = bytes(header.single_vox_offset - header.sizeof_hdr)
    voxels = values.astype(header.get_data_dtype()).tobytes(order="F")
    content = header.binaryblock + between + voxels
    write_atomic(path, gzip.compress(content, 1, mtime=0) if path.name.endswith(".gz") else content)

"""Headers of NIfTI files, from their first few hundred bytes, checked."""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.nifti.placement import placement
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.reading import reading
from ucf_vit.data.storage import Files, is_remote

SUFFIXES = (".nii", ".nii.gz")
_HEADER = 540
_PACKED_HEADER = 4096
"""Bytes of a compressed file that contain its header, unless long extensions precede the data."""
_LARGEST = 2**62
_QUIET = logging.Logger("nibabel")
_QUIET.addHandler(logging.NullHandler())
"""Takes what nibabel says of headers that it mends, which names no file; `placement` remarks on them."""


@dataclass(frozen=True)
class NiftiHeader:
    """Volume of `shape` `[X, Y, Z]` or `[X, Y, Z, C]` that begins at byte `offset`, with x the fastest axis.

    Values are `stored * slope + intercept`. `geometry` is not checked: its affine may be singular.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    geometry: Geometry

    @property
    def size(self) -> int:
        """Bytes of the file up to its last voxel, uncompressed."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(path: str, files: Files | None = None) -> NiftiHeader:
    """Returns the header of the file at `path`, NIfTI-1 or NIfTI-2.

    An image `[X, Y]` is a volume one voxel thick; `[X, Y, Z, 1, C]`, as ITK writes vectors, has C channels.
    Raises DataError for invalid axes, types or scales.
    """
    with reading(path, "no readable NIfTI header"):
        stored = read_stored_header(path, files)
        raw, spacing = stored.copy(), stored["pixdim"][1:4]
        raw.check_fix(_QUIET)
        shape, offset = _volume(path, raw.get_data_shape()), int(raw.get_data_offset())
        dtype = raw.get_data_dtype()
        if dtype.kind not in "iuf":
            raise DataError(f"{path}: expected one real number per voxel, found the type {dtype}")
        slope, intercept = _scale(raw, dtype)
        geometry = Geometry(shape[:3], *placement(raw, shape[:3], spacing))
        header = NiftiHeader(shape, dtype, offset, slope, intercept, geometry)
        if not 0 < header.size < _LARGEST:
            raise ValueError(f"its {shape} values from byte {offset} on fit into no file")
    return header


def read_stored_header(path: str, files: Files | None = None) -> nibabel.Nifti1Header:
    """Returns the header of a file, bit by bit, whatever is wrong with it."""
    files = files or Files()
    start = _remote_start(path, files) if is_remote(path) else _start(files.local(path))
    kind = nibabel.Nifti2Header if _starts_with(start, _HEADER) else nibabel.Nifti1Header
    if len(start) < kind.sizeof_hdr:
        raise EOFError(f"it ends after {len(start)} bytes")
    return kind(start[: kind.sizeof_hdr], check=False)


def read_shape(path: str, files: Files | None = None) -> tuple[int, ...]:
    """Returns the stored shape `[X, Y, Z]` or `[X, Y, Z, C]`. Raises DataError as `read_header`."""
    return read_header(path, files).shape


def read_geometry(path: str, files: Files | None = None) -> Geometry:
    """Returns the grid of a file. Raises DataError as `read_header`, and for a singular affine."""
    with reading(path):
        geometry = read_header(path, files).geometry
        return Geometry.checked(geometry.shape, geometry.affine, geometry.remarks)


def _volume(path: str, stored: tuple[int, ...]) -> tuple[int, ...]:
    shape = tuple(map(int, stored))
    shape = (*shape, 1) if len(shape) == 2 else shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise DataError(f"{path}: expected a volume [X, Y, Z] or [X, Y, Z, C], found the shape {shape}")
    return shape


def _scale(header: nibabel.Nifti1Header, dtype: np.dtype[Any]) -> tuple[float, float]:
    """Returns slope and intercept; a slope of 0 or NaN means that there are none."""
    if np.isinf(header["scl_slope"]):
        raise ValueError("its slope scl_slope is infinite")
    slope, intercept = header.get_slope_inter()
    slope, intercept = (1.0 if slope is None else float(slope)), float(intercept or 0)
    if dtype.kind in "iu":
        largest = abs(slope) * 2.0 ** (8 * dtype.itemsize) + abs(intercept)
        if not np.isfinite(largest):
            raise ValueError(f"its scale, slope {slope:g} and intercept {intercept:g}, makes values infinite")
    return slope, intercept


def _start(path: Path) -> bytes:
    opened: Callable[..., Any] = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as stream:
        return bytes(stream.read(_HEADER))


def _remote_start(url: str, files: Files) -> bytes:
    """Returns the first bytes of a remote file; it is fetched whole where they do not suffice."""
    if not url.lower().endswith(".gz"):
        return files.head(url, _HEADER)
    with suppress(zlib.error):
        unpacked = zlib.decompressobj(wbits=31).decompress(files.head(url, _PACKED_HEADER), _HEADER)
        if len(unpacked) == _HEADER:
            return unpacked
    return files.using(url, _start)


def _starts_with(start: bytes, number: int) -> bool:
    return start[:4] in (number.to_bytes(4, "little"), number.to_bytes(4, "big"))

"""NRRD and MetaImage volumes, read by SimpleITK (optional)."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.geometry.geometry import Geometry

SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
_DETACHED = (".nhdr", ".mhd")
"""Headers whose voxels lie in a file of their own."""
_DATA_FILE = re.compile(rb"^(?:data ?file:|ElementDataFile\s*=)\s*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_LONGEST = 2**16
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK has x to the left and y to the back."""


class ItkHeader(NamedTuple):
    """Volume of `shape` `[X, Y, Z]` with `channels` values per voxel, `size` bytes in all; see `Geometry`."""

    channels: int
    shape: tuple[int, ...]
    geometry: Geometry
    size: int


def check_installed(path: str) -> None:
    """Raises UserError where SimpleITK is not installed."""
    if not importlib.util.find_spec("SimpleITK"):
        raise UserError(f"{path}: needs SimpleITK; install it with: pip install 'ucf-vit[itk]'")


def read_header(file: Path) -> ItkHeader:
    """Returns the header of a file; an image `[X, Y]` is a volume one voxel thick.

    The geometry is not checked. Raises DataError for complex numbers and more than three axes.
    """
    reader, itk = _reader(file)
    reader.ReadImageInformation()
    shape, dims = tuple(map(int, reader.GetSize())), reader.GetDimension()
    kind = itk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in kind or "label" in kind.split():
        raise DataError(f"expected real numbers, found {kind}")
    if dims not in (2, 3):
        raise DataError(f"expected a volume [X, Y, Z] or an image [X, Y], found the shape {shape}")
    shape = (*shape, 1)[:3]
    affine = np.eye(4)
    affine[:dims, :dims] = np.reshape(reader.GetDirection(), (dims, dims)) * reader.GetSpacing()
    affine[:dims, 3] = reader.GetOrigin()
    channels = int(reader.GetNumberOfComponents())
    bits = re.search(r"\d+", kind)
    width = int(bits[0]) // 8 if bits else 8
    return ItkHeader(channels, shape, Geometry(shape, _TO_RAS @ affine), width * channels * math.prod(shape))


def decode(file: Path) -> NDArray[Any]:
    """Returns all values `[C, X, Y, Z]` in the stored type."""
    reader, itk = _reader(file)
    image = reader.Execute()
    values = np.asarray(itk.GetArrayFromImage(image))
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    return values.T if values.ndim == 4 else values[None].T


def data_file(file: Path) -> Path | None:
    """Returns the file with the voxels of a detached header; None where they follow in the same file."""
    if not file.name.lower().endswith(_DETACHED):
        return None
    with file.open("rb") as stream:
        match = _DATA_FILE.search(stream.read(_LONGEST))
    if match is None or match[1].upper() in (b"LOCAL", b"LIST"):
        return None
    return file.parent / match[1].decode(errors="surrogateescape")


def _reader(file: Path) -> tuple[Any, Any]:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    return reader, SimpleITK

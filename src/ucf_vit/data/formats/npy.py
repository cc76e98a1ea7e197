"""NumPy's .npy format: an array's header, and the array through a memory map."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LONGEST = 10_000
"""Bytes of a header at most, as for NumPy: that of an array of numbers has some 128."""


class NpyHeader(NamedTuple):
    """What an array's own header says; its values begin at byte `start`."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def order(self) -> Literal["C", "F"]:
        """Which axis is the fastest: the last, or with "F" the first."""
        return "F" if self.fortran else "C"

    @property
    def size(self) -> int:
        """Bytes of header and values."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> NpyHeader:
    """The header that `stream` begins with. Raises ValueError where it is none, or not that of numbers."""
    first = npy.read_magic(stream) == (1, 0)
    read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
    length = stream.read(2 if first else 4)
    size = int.from_bytes(length, "little")
    if size > LONGEST:
        raise ValueError(f"its header has {size:,} bytes, no array of numbers needs so many")
    shape, fortran, dtype = read(io.BytesIO(length + stream.read(size)))
    if any(side < 0 for side in shape):
        raise ValueError(f"its header says the shape {shape}")
    return NpyHeader(shape, fortran, dtype, npy.MAGIC_LEN + len(length) + size)


def load(path: Path) -> NDArray[Any]:
    """The array in a .npy file, through a memory map."""
    with path.open("rb") as stream:
        header = read_header(stream)
    return mapped(path, header)


def mapped(path: str | Path, header: NpyHeader, offset: int = 0) -> NDArray[Any]:
    """A memory map of the array whose header lies at byte `offset` of a file. ValueError for objects."""
    if header.dtype.hasobject:
        raise ValueError("holds Python objects; expected an array of numbers")
    size, needed = os.stat(path).st_size, offset + header.size  # noqa: PTH116, for every tile
    if size < needed:
        raise EOFError(f"it ends after {size:,} bytes, its header says {needed:,}")
    if 0 in header.shape:
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", offset + header.start, header.shape, header.order)

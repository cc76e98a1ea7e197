"""NumPy's .npy format: header and memory map of an array."""

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
"""Largest header in bytes, as in NumPy; the header of an array of numbers has about 128."""


class NpyHeader(NamedTuple):
    """Header of an array, whose values begin at byte `start`."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def order(self) -> Literal["C", "F"]:
        """Memory order: "C" if the last axis is the fastest, "F" if the first is."""
        return "F" if self.fortran else "C"

    @property
    def size(self) -> int:
        """Bytes of header and values."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> NpyHeader:
    """Returns the header at the beginning of `stream`. Raises ValueError where there is no valid one."""
    first = npy.read_magic(stream) == (1, 0)
    read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
    length = stream.read(2 if first else 4)
    size = int.from_bytes(length, "little")
    if size > LONGEST:
        raise ValueError(f"its header has {size:,} bytes, more than an array of numbers needs")
    shape, fortran, dtype = read(io.BytesIO(length + stream.read(size)))
    if any(side < 0 for side in shape):
        raise ValueError(f"its header says the shape {shape}")
    return NpyHeader(shape, fortran, dtype, npy.MAGIC_LEN + len(length) + size)


def load(path: Path) -> NDArray[Any]:
    """Returns a memory map of the array in a .npy file."""
    with path.open("rb") as stream:
        header = read_header(stream)
    return mapped(path, header)


def mapped(path: str | Path, header: NpyHeader, offset: int = 0) -> NDArray[Any]:
    """Returns a memory map of the array whose header is at byte `offset`. Raises ValueError for objects."""
    if header.dtype.hasobject:
        raise ValueError("holds Python objects; expected an array of numbers")
    size, needed = os.stat(path).st_size, offset + header.size  # noqa: PTH116, for every tile
    if size < needed:
        raise EOFError(f"it ends after {size:,} bytes, its header says {needed:,}")
    if 0 in header.shape:
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", offset + header.start, header.shape, header.order)

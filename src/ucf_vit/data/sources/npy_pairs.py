"""NumPy's .npy files in `images` and `labels`."""

from __future__ import annotations

import io
from typing import Any

from numpy.typing import NDArray

from ucf_vit.data.formats import npy
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.array_pairs import ArrayHeader, ArrayPairs

LONGEST_HEADER = 4096
"""Bytes that are read; the header of an array of numbers has about 128."""


class NpyPairs(ArrayPairs):
    """One array per .npy file, read through a memory map: only the pages of a tile are touched."""

    suffixes = (".npy",)

    def header(self, path: str, label: bool = False) -> ArrayHeader:
        """Returns the header from the first bytes of the file."""
        with reading(path, "no readable .npy header"):
            header = npy.read_header(io.BytesIO(self.files.head(path, LONGEST_HEADER)))
        return ArrayHeader(header.shape, header.dtype)

    def open(self, path: str, label: bool = False) -> NDArray[Any]:
        """Returns a memory map."""
        with reading(path):
            return self.files.using(path, npy.load)

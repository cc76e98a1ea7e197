"""NumPy's .npy files in `images` and `labels`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.pairs import Header, Pairs
from ucf_vit.data.sources.source import SOURCES

LONGEST_HEADER = 4096
"""The header of an array of numbers has some 128 bytes."""


@SOURCES.register("npy_pairs")
class NpyPairs(Pairs):
    """One array per .npy file, read through a memory map: a tile touches its own pages alone."""

    suffixes = (".npy",)

    def header(self, path: str) -> Header:
        """From the first bytes."""
        try:
            start = io.BytesIO(self.files.head(path, LONGEST_HEADER))
            version = npy.read_magic(start)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(start)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no readable .npy header ({error})") from error
        return Header(shape, dtype)

    def open(self, path: str) -> NDArray[Any]:
        """A memory map."""
        try:
            return self.files.using(path, lambda file: np.load(file, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: can't be read ({error})") from error

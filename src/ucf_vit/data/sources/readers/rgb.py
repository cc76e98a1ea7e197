"""Reader of pictures as RGB, or as grey, with values in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.pictures import read_rgb, size_of, suffixes
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.storage import Files, is_remote

BEGINNING = 2**15
"""Number of bytes at the start of a remote file in which the image size is looked for."""
_UNREADABLE = "no readable image"
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


class RgbReader(Reader):
    """Images `[3, H, W]` float32 in [0, 1], turned as their Exif orientation says.

    `resize` `[H, W]` brings all images to one size by a triangle filter as wide as the reduction (no
    aliasing, no overshoot). Grey, palette and CMYK images become RGB; alpha is dropped. With `grey` an image
    has one channel, its luminance.
    """

    suffixes = suffixes()
    spatial_dims = 2

    def __init__(
        self, resize: Sequence[int] | None = None, files: Files | None = None, grey: bool = False
    ) -> None:
        self.files = files or Files()
        self.channels = 1 if grey else 3
        self.resize = None if resize is None else (int(resize[0]), int(resize[1]))

    def header(self, path: str, label: bool = False) -> FileHeader:
        """Returns the channels and `resize`, or the size in the header."""
        return FileHeader(self.channels, self._size(path) if self.resize is None else self.resize)

    def geometry(self, path: str) -> None:
        """Returns None: pictures have no place in space."""
        return

    def image(self, path: str, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns `[C, *region]`."""
        with reading(path, _UNREADABLE):
            pixels = self.files.using(path, lambda file: read_rgb(file, self.resize, self.files.limit))
        if self.channels == 1:
            pixels = (pixels @ LUMINANCE)[..., None]
        image = np.moveaxis(pixels, -1, 0)[(slice(None), *region)]
        return image if list(channels) == list(range(self.channels)) else image[list(channels)]

    def label(self, path: str, region: tuple[slice, ...]) -> NDArray[Any]:
        """Raises DataError: a picture in colours is no label."""
        raise DataError(f"{path}: read in colours, which are no class numbers")

    def _size(self, path: str) -> tuple[int, int]:
        if is_remote(path):
            start = self.files.head(path, BEGINNING)
            with suppress(Exception):  # the size may come later: the whole file says what is wrong
                return size_of(BytesIO(start))
        with reading(path, _UNREADABLE):
            return self.files.using(path, size_of)

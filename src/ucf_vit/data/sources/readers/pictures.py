"""Reader of PNG, JPEG, TIFF and similar pictures, and of masks in such files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.picture_values import picture_header, read_image, read_mask
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.storage import Cache, Files, is_remote
from ucf_vit.data.storage.decoded import decode_once
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.colours import classes_of, coded, parse_colours, shown_colours

BEGINNING = 2**15
"""Number of bytes at the start of a remote file in which its header is looked for."""
_UNREADABLE = "no readable image"


class PictureReader(Reader):
    """Images `[C, H, W]` with the stored values of 8 or 16 bits, decoded once per machine.

    `channels` is 1 (colours become grey), 3 (grey is repeated) or 4 (with alpha); None takes 1 or 3 as the
    file has them. Values of a mask are its grey values or, with a palette, its indices; with `colours`
    ("#ff0000" or [255, 0, 0], one per class) they are the positions of its colours there.
    """

    suffixes = suffixes()
    spatial_dims = 2

    def __init__(
        self,
        channels: int | None = None,
        colours: Sequence[str | Sequence[int]] | None = None,
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        self._scratch = scratch or Scratch()
        self.files = files or Files(Cache(self._scratch))
        self._channels = channels
        self._colours = None if colours is None else parse_colours(colours)

    def header(self, path: str, label: bool = False) -> FileHeader:
        """Returns channels and size from the header."""
        if is_remote(path):
            start = self.files.head(path, BEGINNING)
            with suppress(Exception):  # the size may come later: the whole file says what is wrong
                return self._header(BytesIO(start), label)
        with reading(path, _UNREADABLE):
            return self.files.using(path, lambda file: self._header(file, label))

    def geometry(self, path: str) -> None:
        """Returns None: pictures have no place in space."""
        return

    def image(self, path: str, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns `[C, *region]`."""
        decode = lambda file: read_image(file, self._channels, self.files.limit)  # noqa: E731
        return self._decoded(path, decode, "image", self._channels)[:, *region][list(channels)]

    def label(self, path: str, region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns the values of a mask, `[*region]`."""
        return self._decoded(path, self._mask, "mask", self._colours)[region]

    def _header(self, file: Path | BytesIO, label: bool) -> FileHeader:
        stored, size = picture_header(file)
        return FileHeader(1 if label else self._channels or stored, size)

    def _mask(self, file: Path) -> NDArray[Any]:
        pixels = read_mask(file, self.files.limit, self._colours is not None)
        if pixels.ndim == 2:
            return pixels
        if self._colours is not None:
            return classes_of(pixels, self._colours)
        if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
            return np.ascontiguousarray(pixels[..., 0])
        raise DataError(
            f"the mask has colours, {shown_colours(coded(pixels))}: name those of the classes, in order, "
            "with data.dict_options: {NAME: {colours: ['#000000', '#ff0000']}}"
        )

    def _decoded(
        self, path: str, decode: Callable[[Path], NDArray[Any]], kind: str, options: object
    ) -> NDArray[Any]:
        with reading(path, _UNREADABLE):
            size = 4 * 8 * int(np.prod(self.header(path).shape))
            where = path if is_remote(path) else str(Path(path).absolute())
            key = ("picture", kind, where, *self.files.stamp(path), options)
            return decode_once(lambda: self.files.using(path, decode), size, self._scratch, *key)

"""TIFF images and stacks, read by tifffile (optional)."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.data.formats.tiff_pages import (
    AS_STORED,
    JPEG,
    MIN_IS_WHITE,
    TURNS,
    YCBCR,
    Turn,
    check_complete,
    decode,
)
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.array_pairs import ArrayHeader, ArrayPairs
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.decoded import decode_once
from ucf_vit.data.storage.scratch import Scratch

_CUT_OFF = ("invalid page offset", "failed to reshape", "missing data")
"""Messages that tifffile only logs for a truncated file before it returns the rest."""


class Tiff(ArrayPairs):
    """One image `[H, W]` or stack `[pages, H, W]` per file, with channels where the file has them.

    Images are in `images` with labels in `labels` or, without labels, in `root` itself. Uncompressed files
    are read through a memory map; others are decoded once per machine. Images are turned as their orientation
    tag says; large values are bright, also where the file defines them as dark. Labels are as stored.
    """

    suffixes = (".tif", ".tiff")
    in_root = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        if not importlib.util.find_spec("tifffile"):
            raise UserError(f"{root}: needs tifffile; install it with: pip install 'ucf-vit[tiff]'")
        self._scratch = scratch or Scratch()
        super().__init__(root, variables, files=files or Files(Cache(self._scratch)))

    def header(self, path: str, label: bool = False) -> ArrayHeader:
        """Returns the header from the tags of the file."""
        with _opened(path, self.files) as (series, _):
            order, spatial, turn = _layout(series)
            if not label:
                _check_colours(series.keyframe)
            shape = [series.shape[axis] for axis in order]
            if turn.sideways:
                shape[spatial - 2 : spatial] = shape[spatial - 1], shape[spatial - 2]
            return ArrayHeader(tuple(shape), np.dtype(series.dtype), spatial)

    def open(self, path: str, label: bool = False) -> NDArray[Any]:
        """Returns a memory map."""
        with _opened(path, self.files) as (series, local):
            order, spatial, turn = _layout(series)
            inverted = not label and _check_colours(series.keyframe)
            if series.dataoffset is not None and not inverted:
                dtype = np.dtype(series.dtype).newbyteorder(series.parent.byteorder)
                stored: NDArray[Any] = np.memmap(local, dtype, "r", series.dataoffset, series.shape)
            else:
                self.files.check_size(path, series.nbytes)
                about = local.stat()
                key = ("tiff", str(local.absolute()), about.st_size, about.st_mtime_ns, inverted)
                limit = self.files.limit
                stored = decode_once(
                    lambda: decode(series, inverted, limit), series.nbytes, self._scratch, *key
                )
            return turn.of(stored.transpose(order), spatial)


def _layout(series: Any) -> tuple[tuple[int, ...], int, Turn]:
    """Returns the file's axes in the order `[*S]` or `[*S, C]`, the number of spatial axes, and the
    orientation.
    """
    channel = tuple(axis for axis, name in enumerate(series.axes) if name in "SC")
    space = tuple(axis for axis, name in enumerate(series.axes) if name not in "SC")
    names = "".join(series.axes[axis] for axis in space)
    if len(channel) > 1 or len(space) not in (2, 3) or not names.endswith("YX"):
        raise ValueError(f"axes {series.axes} of {series.shape}; expected one image, or one stack")
    turn = TURNS.get(series.keyframe.tags.valueof("Orientation", 1), Turn())
    return (*space, *channel), len(space), turn


def _check_colours(page: Any) -> bool:
    """Returns whether small values are white. Raises ValueError for pixels that are no intensities."""
    if page.photometric == MIN_IS_WHITE:
        if page.dtype is None or page.dtype.kind not in "bu":
            raise ValueError(f"its small {page.dtype} values are white; invert them")
        return True
    jpeg = page.compression in JPEG and page.photometric == YCBCR
    if page.photometric not in AS_STORED and not jpeg:
        kind = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"its photometric interpretation is {kind}; convert it to grey or RGB")
    return False


@contextmanager
def _opened(path: str, files: Files) -> Iterator[tuple[Any, Path]]:
    """Yields the only series of images in a file, and the local file. Raises DataError for any problem."""
    import tifffile

    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    try:
        with reading(path, "no readable TIFF image"):
            local = files.local(path)
            with tifffile.TiffFile(local) as file:
                if len(file.series) != 1:
                    raise ValueError(f"{len(file.series)} different images in it; expected one, or one stack")
                check_complete(file)
                if complaints.found:
                    raise ValueError(f"it is damaged or ends too early: {complaints.found[0]}")
                yield file.series[0], local
    finally:
        logger.removeHandler(complaints)


class _Complaints(logging.Handler):
    """Messages about truncated files that are logged in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the message."""
        text = record.getMessage()
        if record.thread == self._thread and any(words in text for words in _CUT_OFF):
            self.found.append(text)

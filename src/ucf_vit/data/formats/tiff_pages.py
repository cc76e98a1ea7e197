"""What the tags of a TIFF page say of its pixels: how they lie, and what small numbers look like."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ucf_vit.data.formats.unpacked_size import check_unpacked

MIN_IS_WHITE, YCBCR = 0, 6
AS_STORED = {1, 2, 32803, 34892}
"""Kinds of colours (MinIsBlack, RGB, colour filter array, linear raw) whose numbers are intensities."""
JPEG = {6, 7, 34892, 33007}
"""Compressions that make RGB of YCbCr."""
_IMAGES = {6, 7, 34712, 33003, 33004, 33005, 34892, 33007, 34933, 34927, 50001}
"""Compressions each of whose segments is an image with a header of its own: JPEG, JPEG 2000, PNG, WebP."""


class Turn(NamedTuple):
    """What makes of the stored `[Y, X]` the image that is seen: `sideways` first, then mirrored."""

    sideways: bool = False
    down: bool = False
    across: bool = False

    def of(self, array: NDArray[Any], spatial: int) -> NDArray[Any]:
        """A view of `array`, whose axes Y and X are the last two of the `spatial` ones."""
        if self.sideways:
            array = array.swapaxes(spatial - 2, spatial - 1)
        where = (slice(None, None, -1 if self.down else 1), slice(None, None, -1 if self.across else 1))
        return array[(*(slice(None),) * (spatial - 2), *where)]


TURNS = {
    1: Turn(),
    2: Turn(across=True),
    3: Turn(down=True, across=True),
    4: Turn(down=True),
    5: Turn(sideways=True),
    6: Turn(sideways=True, across=True),
    7: Turn(sideways=True, down=True, across=True),
    8: Turn(sideways=True, down=True),
}
"""By the tag Orientation (TIFF 6.0, section 8)."""


def check_complete(file: Any) -> None:
    """ValueError where a page is said to follow the last one that is there: tifffile only logs that."""
    handle, tiff = file.filehandle, file.tiff
    start = file.pages[-1].offset
    handle.seek(start)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(start + tiff.tagnosize + tags * tiff.tagsize)
    (following,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
    if following >= handle.size:
        raise ValueError(f"it ends too early: a page is said to be at byte {following} of {handle.size}")


def decode(series: Any, inverted: bool, limit: int) -> NDArray[Any]:
    """All pages, as stored or `inverted`. DataError where one says that it has more than `limit` bytes."""
    page = series.keyframe
    if page.compression in _IMAGES:
        for one in series.pages:
            _check_segments(one, series.parent.filehandle, limit)
    found: NDArray[Any] = series.asarray()
    if not inverted:
        return found
    return ~found if found.dtype.kind == "b" else found.dtype.type(2**page.bitspersample - 1) - found


def _check_segments(page: Any, handle: Any, limit: int) -> None:
    """tifffile unpacks to what a page says, but an image in it to what this says."""
    for data, number in handle.read_segments(page.dataoffsets, page.databytecounts):
        if data is not None:
            check_unpacked(f"segment {number}", data, limit)

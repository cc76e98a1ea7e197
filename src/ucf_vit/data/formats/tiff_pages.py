"""Tags of a TIFF page that define the orientation and meaning of its pixels."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ucf_vit.data.formats.unpacked_size import check_unpacked

MIN_IS_WHITE, YCBCR = 0, 6
AS_STORED = {1, 2, 32803, 34892}
"""Photometric interpretations (MinIsBlack, RGB, colour filter array, linear raw) that store intensities."""
JPEG = {6, 7, 34892, 33007}
"""Compressions that convert YCbCr to RGB."""
_IMAGES = {6, 7, 34712, 33003, 33004, 33005, 34892, 33007, 34933, 34927, 50001}
"""Compressions whose segments are images with their own headers: JPEG, JPEG 2000, PNG, WebP."""


class Turn(NamedTuple):
    """Operation that turns the stored `[Y, X]` upright: first `sideways` (axes swapped), then mirrored."""

    sideways: bool = False
    down: bool = False
    across: bool = False

    def of(self, array: NDArray[Any], spatial: int) -> NDArray[Any]:
        """Returns a view of `array`, whose axes Y and X are the last two of the `spatial` ones."""
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
"""Operations by the tag Orientation (TIFF 6.0, section 8)."""


def check_complete(file: Any) -> None:
    """Raises ValueError where the last page announces another one that is missing: tifffile only logs it."""
    handle, tiff = file.filehandle, file.tiff
    start = file.pages[-1].offset
    handle.seek(start)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(start + tiff.tagnosize + tags * tiff.tagsize)
    (following,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
    if following >= handle.size:
        raise ValueError(f"it ends too early: a page should be at byte {following} of {handle.size}")


def decode(series: Any, inverted: bool, limit: int) -> NDArray[Any]:
    """Returns all pages, as stored or `inverted`. Raises DataError where a page exceeds `limit` bytes."""
    page = series.keyframe
    if page.compression in _IMAGES:
        for one in series.pages:
            _check_segments(one, series.parent.filehandle, limit)
    pixels: NDArray[Any] = series.asarray()
    if not inverted:
        return pixels
    return ~pixels if pixels.dtype.kind == "b" else pixels.dtype.type(2**page.bitspersample - 1) - pixels


def _check_segments(page: Any, handle: Any, limit: int) -> None:
    """Raises DataError where an image in a segment exceeds `limit` bytes by its own header.

    tifffile checks the size given by the page only.
    """
    for data, number in handle.read_segments(page.dataoffsets, page.databytecounts):
        if data is not None:
            check_unpacked(f"segment {number}", data, limit)

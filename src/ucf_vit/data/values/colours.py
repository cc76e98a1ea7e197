"""Class numbers of the colours of a mask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few

SHOWN = 8
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


def parse_colours(colours: Sequence[str | Sequence[int]]) -> tuple[int, ...]:
    """Returns the codes `0xRRGGBB` of colours such as "#ff0000" or [255, 0, 0]. Raises DataError."""
    codes = []
    for colour in colours:
        match = _HEX.fullmatch(colour) if isinstance(colour, str) else None
        if match:
            codes.append(int(match[1], 16))
        elif not isinstance(colour, str) and len(colour) == 3 and all(0 <= part <= 255 for part in colour):
            codes.append(int(colour[0]) << 16 | int(colour[1]) << 8 | int(colour[2]))
        else:
            raise DataError(f"colour {colour!r}: expected one such as '#ff0000', in quotes, or [255, 0, 0]")
    if len(set(codes)) < len(codes):
        raise DataError("a colour is there twice; each class has a colour of its own")
    return tuple(codes)


def classes_of(pixels: NDArray[Any], codes: Sequence[int]) -> NDArray[np.uint8]:
    """Returns the position in `codes` `[H, W]` of each colour of `pixels` `[H, W, 3]`, uint8.

    Raises DataError for colours that are not there, with how many pixels have them.
    """
    stored = coded(pixels)
    order = np.argsort(codes)
    known = np.asarray(codes)[order]
    places = np.searchsorted(known, stored).clip(max=len(known) - 1)
    strange = known[places] != stored
    if strange.any():
        raise DataError(
            f"{np.count_nonzero(strange)} of {strange.size} pixels have colours that are not among those of "
            f"the classes, such as {shown_colours(stored[strange])}; name them in colours, or save "
            "masks without loss and without smooth edges"
        )
    return order.astype(np.uint8)[places]


def coded(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Returns the codes `0xRRGGBB` `[H, W]` of colours `[H, W, 3]`."""
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def shown_colours(codes: NDArray[np.int64]) -> str:
    """Returns the most frequent of `codes` as text."""
    values, counts = np.unique(codes, return_counts=True)
    most = values[np.argsort(-counts, kind="stable")]
    return first_few([f"'#{code:06x}'" for code in most[:SHOWN]], SHOWN, len(most))

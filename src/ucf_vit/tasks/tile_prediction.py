"""Prediction of images of any size, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from ucf_vit.patching.sliding_window.blend import predict_cells
from ucf_vit.patching.sliding_window.windows import Region, pad_to_window
from ucf_vit.patching.tiles import Tiling


def predict_parts_in_tiles(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    tile_size: Sequence[int],
    *,
    overlap: float = 0.5,
    at_once: int = 4,
    memory: float = math.inf,
    directory: Path | None = None,
) -> Iterator[tuple[Region, Tensor]]:
    """Yields each part of images `[B, C, *S]` once, with its predictions `[B, K, *P]` (float32).

    `predict` maps tiles `[N, C, *T]` to `[N, K, *T]`. Tiles share the fraction `overlap` of their sides and
    are blended with Gaussian weights. Sides shorter than a tile are padded with 0 at their end, as the loader
    pads tiles. A volume is predicted slice by slice along its last axis if `tile_size` has two entries. At
    most `memory` bytes of sums are in memory, the rest is in a temporary file in `directory`.
    """
    options = {"overlap": overlap, "at_once": at_once, "memory": memory, "directory": directory}
    if image.ndim - 2 == len(tile_size):
        yield from predict_cells(predict, image, tile_size, **options)  # type: ignore[arg-type]
        return
    batch, step = len(image), max(at_once // len(image), 1)
    for first in range(0, image.shape[-1], step):
        depth = slice(first, min(first + step, image.shape[-1]))
        stacked = image[..., depth].movedim(-1, 1).flatten(0, 1)
        for region, values in predict_cells(predict, stacked, tile_size, **options):  # type: ignore[arg-type]
            yield (*region, depth), values.unflatten(0, (batch, -1)).movedim(1, -1)


def assemble(parts: Iterable[tuple[Region, Tensor]], image: Tensor) -> Tensor:
    """Returns predictions `[B, K, *S]` from those of all parts of images `[B, C, *S]`."""
    whole: Tensor | None = None
    for region, values in parts:
        if whole is None:
            whole = values.new_empty((len(image), values.shape[1], *image.shape[2:]))
        whole[(..., *region)] = values
    if whole is None:
        raise ValueError(f"an image of shape {tuple(image.shape)} has no voxels")
    return whole


def tiles_of(image: Tensor, tile_size: Sequence[int], overlap: float) -> Iterator[Tensor]:
    """Yields the tiles `[B, C, *T]` that cover images `[B, C, *S]`, padded and sliced as above."""
    if image.ndim - 2 > len(tile_size):
        for one in image.unbind(-1):
            yield from tiles_of(one, tile_size, overlap)
        return
    padded = pad_to_window(image, tile_size)
    tiling = Tiling(padded.shape[2:], tile_size, overlap, use_all=True)
    for number in range(len(tiling)):
        yield padded[(..., *tiling.region(number))]

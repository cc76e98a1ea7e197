"""Rectangular blocks of images: reading, writing, summing and resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CACHED_ELEMENTS = 2**20
"""Number of elements processed at a time on a CPU, so that intermediate results stay in the cache."""


def take_blocks(image: Tensor, row: Tensor, start: Tensor, sides: Sequence[int]) -> Tensor:
    """Returns blocks `[M, C, *sides]` of images `[R, C, *S]`; block m is at `start[m]` in image `row[m]`.

    `start` `[M, d]` holds multiples of `sides`, which divide those of the image. Whole rows of pixels are
    copied, which is several times faster than indexing pixels.
    """
    lines = image.reshape(-1, sides[-1])
    numbers = _line_numbers(image.shape, row, start, sides)
    return lines.index_select(0, numbers.flatten()).view(len(row), image.shape[1], *sides)


def put_blocks(image: Tensor, row: Tensor, start: Tensor, blocks: Tensor) -> None:
    """Writes blocks into a contiguous image, in place; the inverse of `take_blocks`."""
    sides = blocks.shape[2:]
    numbers = _line_numbers(image.shape, row, start, sides)
    image.view(-1, sides[-1]).index_copy_(0, numbers.flatten(), blocks.reshape(-1, sides[-1]))


def _line_numbers(shape: torch.Size, row: Tensor, start: Tensor, sides: Sequence[int]) -> Tensor:
    """Returns the numbers `[M, C * prod(sides[:-1])]` of the lines of `sides[-1]` pixels of the blocks."""
    space = [*shape[2:-1], shape[-1] // sides[-1]]
    strides = [math.prod(space[axis + 1 :]) for axis in range(len(space))]
    first = row * (shape[1] * math.prod(space)) + start[:, -1] // sides[-1]
    offsets = torch.arange(shape[1], device=row.device) * math.prod(space)
    for axis, stride in enumerate(strides[:-1]):
        first = first + start[:, axis] * stride
        offsets = (offsets[:, None] + torch.arange(sides[axis], device=row.device) * stride).flatten()
    return first[:, None] + offsets


def halve(image: Tensor) -> Tensor:
    """Returns the means over blocks of 2 a side, `[R, C, *S]` to `[R, C, *(S / 2)]`."""
    sums = block_sums(image.flatten(0, 1), (2,) * (image.ndim - 2))
    return sums.mul_(0.5 ** (image.ndim - 2)).unflatten(0, image.shape[:2])


def block_sums(x: Tensor, sides: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """Returns sums over blocks of `sides`, `[N, *S]` to `[N, *(S / sides)]`, computed in `dtype`.

    Pairs are added first. Thus a sum of values >= 0 is never smaller than a sum over a part of the block,
    also in floating point, and the sums of a mirrored map are the same. A large map is processed in bands
    that stay in the cache.
    """
    dtype = dtype or x.dtype
    length = x.shape[1] // sides[0]
    rows = length if x.device.type != "cpu" else max(1, CACHED_ELEMENTS * length // x.numel())
    if rows >= length:
        return _block_sums(x.to(dtype), sides)
    sums = x.new_empty(len(x), *(n // side for n, side in zip(x.shape[1:], sides, strict=True)), dtype=dtype)
    for band, band_sums in zip(x.split(rows * sides[0], dim=1), sums.split(rows, dim=1), strict=True):
        band_sums.copy_(_block_sums(band.to(dtype), sides))
    return sums


def _block_sums(x: Tensor, sides: Sequence[int]) -> Tensor:
    remaining = list(sides)
    while even := [axis for axis, side in enumerate(remaining) if side % 2 == 0]:
        for axis in even:
            before = (slice(None),) * (1 + axis)
            x = x[(*before, slice(0, None, 2))] + x[(*before, slice(1, None, 2))]
            remaining[axis] //= 2
    for axis, side in enumerate(remaining, start=1):
        if side > 1:
            parts = x.unflatten(axis, (-1, side)).unbind(axis + 1)
            pairs = [parts[part] + parts[-1 - part] for part in range(side // 2)]
            x = sum(pairs, start=parts[side // 2])
    return x


def resample(blocks: Tensor, sides: Sequence[int], undo: bool = False) -> Tensor:
    """Returns blocks `[M, C, *B]` as `[M, C, *sides]`: down by area average, up by linear interpolation.

    With `undo`, down is the least-squares inverse of the interpolation instead, which restores blocks that
    were interpolated. Autocast does not reduce the precision.
    """
    before, after = tuple(blocks.shape[2:]), tuple(sides)
    if before == after:
        return blocks
    *others, height, width = (
        _resampling(*pair, undo, blocks.device).to(blocks.dtype) for pair in zip(before, after, strict=True)
    )
    # The last two axes are resampled in one product where they are short: very small products are slow.
    if max(before[-2:]) <= 4:
        # torch.kron fails on a matrix with one row (2.15).
        last = (height[:, None, :, None] * width[:, None]).flatten(2).flatten(0, 1)
    else:
        others, last = [*others, height], width
    with torch.autocast(blocks.device.type, enabled=False):
        lines = blocks.reshape(-1, last.shape[1]) @ last.T
        for matrix in reversed(others):
            lines = (matrix @ lines.reshape(-1, matrix.shape[1], lines.shape[1])).flatten(1)
    return lines.reshape(*blocks.shape[:2], *after)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # cached weights from evaluation have to work in training as well
def _resampling(before: int, after: int, undo: bool, device: torch.device) -> Tensor:
    """Returns the weights `[after, before]` of resampling along one axis."""
    if after == before:
        weights = torch.eye(after)
    elif after > before:
        identity = torch.eye(before, dtype=torch.float64)[:, None]
        weights = F.interpolate(identity, size=after, mode="linear")[:, 0].T
    elif undo:
        weights = torch.linalg.pinv(_resampling(after, before, False, torch.device("cpu")).double())
    else:
        edges = torch.arange(after + 1, dtype=torch.float64) * before / after
        low, high = edges[:-1, None], edges[1:, None]
        pixel = torch.arange(before, dtype=torch.float64)
        weights = (torch.minimum(high, pixel + 1) - torch.maximum(low, pixel)).clamp_min(0) * after / before
    return weights.to(device, torch.float32)

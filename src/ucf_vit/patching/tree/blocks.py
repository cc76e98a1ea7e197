"""Square and cubic blocks of images: reading, writing, summing and resampling."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CACHED_ELEMENTS = 2**20
"""Number of elements processed at a time on a CPU, so that intermediate results stay in the cache."""


def take_blocks(image: Tensor, row: Tensor, start: Tensor, side: int) -> Tensor:
    """Returns blocks `[M, C, side, ...]` of images `[R, C, *S]`; block m is at `start[m]` in image `row[m]`.

    `start` `[M, d]` holds multiples of `side`, which divides the sides of the image. Whole rows of pixels are
    copied, which is several times faster than indexing pixels.
    """
    lines = image.reshape(-1, side)
    numbers = _line_numbers(image.shape, row, start, side)
    return lines.index_select(0, numbers.flatten()).view(len(row), image.shape[1], *[side] * start.shape[1])


def put_blocks(image: Tensor, row: Tensor, start: Tensor, blocks: Tensor) -> None:
    """Writes blocks into a contiguous image, in place; the inverse of `take_blocks`."""
    side = blocks.shape[-1]
    numbers = _line_numbers(image.shape, row, start, side)
    image.view(-1, side).index_copy_(0, numbers.flatten(), blocks.reshape(-1, side))


def _line_numbers(shape: torch.Size, row: Tensor, start: Tensor, side: int) -> Tensor:
    """Returns the numbers `[M, C * side**(d - 1)]` of the lines of `side` pixels that form the blocks."""
    space = [*shape[2:-1], shape[-1] // side]
    strides = [math.prod(space[axis + 1 :]) for axis in range(len(space))]
    first = row * (shape[1] * math.prod(space)) + start[:, -1] // side
    offsets = torch.arange(shape[1], device=row.device) * math.prod(space)
    for axis, stride in enumerate(strides[:-1]):
        first = first + start[:, axis] * stride
        offsets = (offsets[:, None] + torch.arange(side, device=row.device) * stride).flatten()
    return first[:, None] + offsets


def halve(image: Tensor) -> Tensor:
    """Returns the means over blocks of 2 a side, `[R, C, *S]` to `[R, C, *(S / 2)]`."""
    sums = block_sums(image.flatten(0, 1), 2)
    return sums.mul_(0.5 ** (image.ndim - 2)).unflatten(0, image.shape[:2])


def block_sums(x: Tensor, factor: int, dtype: torch.dtype | None = None) -> Tensor:
    """Returns sums over blocks of `factor` a side, `[N, *S]` to `[N, *(S / factor)]`, computed in `dtype`.

    Pairs are added first. Thus a sum of values >= 0 is never smaller than a sum over a part of the block,
    also in floating point, and the sums of a mirrored map are the same. A large map is processed in bands
    that stay in the cache.
    """
    dtype = dtype or x.dtype
    length = x.shape[1] // factor
    rows = length if x.device.type != "cpu" else max(1, CACHED_ELEMENTS * length // x.numel())
    if rows >= length:
        return _block_sums(x.to(dtype), factor)
    sums = x.new_empty(len(x), *(side // factor for side in x.shape[1:]), dtype=dtype)
    for band, band_sums in zip(x.split(rows * factor, dim=1), sums.split(rows, dim=1), strict=True):
        band_sums.copy_(_block_sums(band.to(dtype), factor))
    return sums


def _block_sums(x: Tensor, factor: int) -> Tensor:
    while factor > 1 and factor % 2 == 0:
        for axis in range(1, x.ndim):
            before = (slice(None),) * axis
            x = x[(*before, slice(0, None, 2))] + x[(*before, slice(1, None, 2))]
        factor //= 2
    if factor > 1:
        for axis in range(1, x.ndim):
            parts = x.unflatten(axis, (-1, factor)).unbind(axis + 1)
            pairs = [parts[part] + parts[-1 - part] for part in range(factor // 2)]
            x = sum(pairs, start=parts[factor // 2])
    return x


def resample(blocks: Tensor, side: int, undo: bool = False) -> Tensor:
    """Returns blocks `[M, C, s, ...]` resampled to `side`: down by area average, up by linear interpolation.

    With `undo`, down is the least-squares inverse of the interpolation instead, which restores blocks that
    were interpolated. Autocast does not reduce the precision.
    """
    before, dims = blocks.shape[-1], blocks.ndim - 2
    if before == side:
        return blocks
    matrix = _resampling(before, side, undo, blocks.device).to(blocks.dtype)
    joint_axes = 2 if before <= 4 else 1  # axes resampled in one product: very small products are slow
    last = torch.kron(matrix, matrix) if joint_axes == 2 else matrix
    with torch.autocast(blocks.device.type, enabled=False):
        lines = blocks.reshape(-1, before**joint_axes) @ last.T
        for _ in range(dims - joint_axes):
            lines = (matrix @ lines.view(-1, before, lines.shape[1])).flatten(1)
    return lines.view(*blocks.shape[:2], *[side] * dims)


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # cached weights from evaluation have to work in training as well
def _resampling(before: int, after: int, undo: bool, device: torch.device) -> Tensor:
    """Returns the weights `[after, before]` of resampling along one axis."""
    if after > before:
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

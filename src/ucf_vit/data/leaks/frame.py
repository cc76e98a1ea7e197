"""Signature of a whole image: signs of differences between cells of a small thumbnail.

It survives what leaves the frame as it is: changes of intensity, resampling, recompression, noise. Flips and
exchanged axes are found by comparing all orientations of the image at hand with a stored signature.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BITS = 192
CELLS = {2: 32, 3: 20}
"""Cells of the thumbnail along each axis, by number of axes."""
SAMPLES = {2: 512, 3: 128}
"""Largest number of voxels along an axis that are looked at."""
LEVELS = 256
"""Intensities are counted in that many levels: noise of resampling in air has no rank of its own."""
RANGE = (0.001, 0.999)
"""Quantiles of the intensities between which levels lie."""
CERTAIN = 0.6
"""Quantile of the differences above which all count the same."""
INFORMATION = 40
"""Smallest number of equal weights that tells as much as those of an image; with less it tells nothing."""
NOISE = 1e-4
"""Differences of ranks that are taken for none."""
Thumbnail = NDArray[np.float32]


def thumbnail(image: NDArray[np.generic]) -> Thumbnail:
    """Returns the detail in each cell of an image `[C, *S]`, `[cells] * d`: its mean rank less that around.

    Ranks within a channel, from 0 to 1, hardly change with window, scale or any other rising function of the
    intensity. NaN has the lowest rank.
    """
    dims = image.ndim - 1
    cells = [_sampled(_ranks(channel[_strided(channel.shape)]), CELLS[dims]) for channel in image]
    mean = np.mean(cells, axis=0, dtype=np.float32)
    return mean - ndimage.uniform_filter(mean, 3, mode="nearest")


def _strided(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], ...]:
    """Returns an index of evenly spaced voxels, not more than `SAMPLES` along an axis."""
    most = SAMPLES[len(shape)]
    return np.ix_(*(((np.arange(min(n, most)) + 0.5) * n / min(n, most)).astype(np.intp) for n in shape))


def _ranks(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Returns the share of values on a lower level, with half of those on the same one."""
    clean = np.nan_to_num(np.asarray(values, np.float32), nan=-np.inf)
    some = clean[np.isfinite(clean)]
    low, high = np.quantile(some[:: 1 + some.size // 2**16], RANGE) if some.size else (0.0, 0.0)
    scale = LEVELS / (high - low) if high > low else 0.0
    levels = np.clip((np.clip(clean, low, high) - low) * scale, 0, LEVELS - 1).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=LEVELS)
    return ((np.cumsum(counts) - counts / 2) / clean.size).astype(np.float32)[levels]


def _sampled(values: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Returns means over `cells` equal parts of each axis; voxels on a border count in part."""
    for axis, size in enumerate(values.shape):
        values = np.moveaxis(np.tensordot(_overlaps(size, cells), values, (1, axis)), 0, axis)
    return values


@cache
def _overlaps(size: int, cells: int) -> NDArray[np.float32]:
    """Returns the share of each voxel in each cell, `[cells, size]`; rows add up to 1."""
    edges = np.arange(cells + 1) * size / cells
    low, high = edges[:-1, None], edges[1:, None]
    voxels = np.arange(size)
    overlap = np.clip(np.minimum(high, voxels + 1) - np.maximum(low, voxels), 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


@cache
def _pairs(dims: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns flat numbers of the cells that are compared, `[BITS]` each: near each other, few at borders."""
    rng, cells = np.random.default_rng(dims), CELLS[dims]
    first = np.clip(rng.normal(cells / 2 - 0.5, cells / 5, (20 * BITS, dims)).round(), 0, cells - 1)
    step = rng.integers(-2, 3, first.shape)
    second = first + step
    good = (step != 0).any(1) & (second >= 0).all(1) & (second < cells).all(1)
    first, second = first[good][:BITS].astype(np.intp), second[good][:BITS].astype(np.intp)
    shape = (cells,) * dims
    return np.ravel_multi_index(tuple(first.T), shape), np.ravel_multi_index(tuple(second.T), shape)


def differences(thumbnail: Thumbnail) -> NDArray[np.float32]:
    """Returns the differences between the pairs of cells, `[BITS]`."""
    first, second = _pairs(thumbnail.ndim)
    flat = thumbnail.ravel()
    return np.nan_to_num(flat[first] - flat[second])


def bits(thumbnail: Thumbnail) -> NDArray[np.uint8]:
    """Returns the signs of the differences, packed, `[BITS / 8]`."""
    return np.packbits(differences(thumbnail) > 0)


def weights(thumbnail: Thumbnail) -> NDArray[np.float32]:
    """Returns what each bit is worth in each orientation of an image, `[orientations, BITS]`, with its sign.

    The product with the bits of another image (as -1 and 1) is 1 where they agree, and -1 for the same image
    with the contrast inverted. All are 0 for an image that has too little detail.
    """
    contrasts = np.stack([differences(one) for one in _orientations(thumbnail)])
    sizes = np.abs(contrasts)
    clear = sizes[sizes > NOISE]
    if not clear.size:
        return np.zeros_like(contrasts)
    sizes = np.minimum(sizes, np.quantile(clear, CERTAIN))
    total = sizes.sum(1, keepdims=True)
    worth = np.sign(contrasts) * sizes / total
    return np.where(1 / np.square(worth).sum(1, keepdims=True) >= INFORMATION, worth, 0).astype(np.float32)


def _orientations(thumbnail: Thumbnail) -> Iterator[Thumbnail]:
    """Yields the thumbnail with every order and direction of its axes: 8 in 2D, 48 in 3D."""
    dims = thumbnail.ndim
    for order in itertools.permutations(range(dims)):
        for steps in itertools.product((1, -1), repeat=dims):
            yield thumbnail.transpose(order)[tuple(slice(None, None, step) for step in steps)]

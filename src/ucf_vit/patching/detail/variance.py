"""Detail of an image or volume: how much its intensities vary nearby."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.patching.detail.intensity import RobustScale, above_median
from ucf_vit.patching.detail.noise import SPARE, binomial, noise, quietest
from ucf_vit.patching.detail.per_sample import PerSample, kernel_sides, one_of
from ucf_vit.patching.detail.slabs import FlatGrid, local_map


class Variance(PerSample):
    """Variance (float32) in the window of 3 pixels a side around each pixel, in 2D and 3D.

    Counted from its median over the image, or from 2.5 times the variance of the image's noise where that is
    more, so that neither even texture nor noise is detail. Unit: the square of the channel's robust range
    (`RobustScale`). Where one map serves all channels, each pixel has the variance of the channel in which it
    is largest.

    `smoothing`: sides of a (binomial) blur before, one of which is drawn per sample; None: none, or what the
    noise asks for, see `quietest`. Computed where the image is.
    """

    def __init__(self, smoothing: Sequence[int] | None = None) -> None:
        self.smoothing = kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The variances that count, `[T, *S]`, of one sample `[C, *S]`."""
        scale = RobustScale.of(image)
        if self.smoothing is None:
            side, left = quietest(image, scale, shortest=1)
        else:
            side = one_of(self.smoothing, rng)
            left = noise(image, scale, side)
        floor = SPARE * variance_gain(side, image.ndim - 1) * left.square()
        return above_median(variance(image, scale, side, separate), floor if separate else floor.amax())


def variance(image: Tensor, scale: RobustScale, side: int, separate: bool) -> Tensor:
    """The variances `[T, *S]` of `image` `[C, *S]`, smoothed with a kernel of `side`."""
    varies = functools.partial(local_variance, side=side)
    return local_map(image, scale, (side + 1) // 2, separate, varies)


def local_variance(image: Tensor, side: int) -> Tensor:
    """Variance in windows of 3 a side of `image` `[C, *S]`, smoothed with a binomial kernel of `side`.

    Without the border of (side + 1) / 2 pixels that it takes. Axis by axis by the law of total variance, mean
    of variances plus variance of means: a sum of squares, so never negative and blind to a shift. What lies
    opposite each other is added first, so that a mirrored image gives the mirrored map to the last bit.
    """
    grid = FlatGrid(image)
    mean = grid.smooth(image.flatten(), side)
    variance = torch.zeros_like(mean)
    for step in grid.steps:
        a, b, c = _triples(mean, step)
        before, middle, after = _triples(variance, step)
        differences = (a - b).square_() + (b - c).square_() + (c - a).square_()
        variance = ((before + after) + middle + differences / 3).div_(3)
        mean = (a + c + b).div_(3)
    return grid.inner(variance, (side + 1) // 2)


@functools.cache
def variance_gain(side: int, dims: int) -> float:
    """Mean variance in windows of 3 a side of white noise of 1, smoothed with a binomial kernel of `side`.

    That of a pixel less that of the mean over the window.
    """
    smooth = binomial(side)
    apart = [float((smooth[step:] * smooth[: len(smooth) - step]).sum()) for step in range(3)]
    return apart[0] ** dims - ((3 * apart[0] + 4 * apart[1] + 2 * apart[2]) / 9) ** dims


def _triples(values: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each value that has two neighbours `step` away: the one before, itself, the one after."""
    return values[: -2 * step], values[step:-step], values[2 * step :]

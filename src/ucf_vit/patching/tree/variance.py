"""Detail of an image or volume: how much its intensities vary nearby."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ucf_vit.patching.tree.intensity import above_median
from ucf_vit.patching.tree.per_sample import PerSample
from ucf_vit.patching.tree.slabs import FlatGrid, local_map


class Variance(PerSample):
    """Variance (float32) in the window of 3 pixels a side around each pixel, in 2D and 3D.

    Counted from its median over the image, so that even noise is no detail. Unit: the square of the
    channel's robust range (`RobustScale`). Where one map serves all channels, each pixel has the variance of
    the channel in which it is largest. Computed where the image is.
    """

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Variances above their median, `[T, *S]`, of one sample `[C, *S]`."""
        return above_median(self.variance(image, separate))

    def variance(self, image: Tensor, separate: bool) -> Tensor:
        """The variances `[T, *S]` of one sample `[C, *S]`."""
        return local_map(image, 1, separate, local_variance)


def local_variance(image: Tensor) -> Tensor:
    """Variance of `image` `[C, *S]` in windows of 3 a side, without the border of one pixel that it takes.

    Axis by axis by the law of total variance, mean of variances plus variance of means: a sum of squares,
    so never negative and blind to a shift.
    """
    grid = FlatGrid(image)
    mean = image.flatten()
    variance = torch.zeros_like(mean)
    for step in grid.steps:
        a, b, c = _triples(mean, step)
        variance = (
            sum(_triples(variance, step)) + ((a - b).square_() + (b - c).square_() + (c - a).square_()) / 3
        )
        variance /= 3
        mean = (a + b + c).div_(3)
    return grid.inner(variance, 1)


def _triples(values: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each value that has two neighbours `step` away: the one before, itself, the one after."""
    return values[: -2 * step], values[step:-step], values[2 * step :]

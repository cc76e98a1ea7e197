"""Local variance as the detail of an image or volume."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.patching.detail.intensity import RobustScale, subtract_median
from ucf_vit.patching.detail.noise import NOISE_MARGIN, binomial, choose_blur, estimate_noise
from ucf_vit.patching.detail.per_sample import PerSampleDetail, check_kernel_sides, draw_choice
from ucf_vit.patching.detail.slabs import FlatGrid, map_slabs


class Variance(PerSampleDetail):
    """Variance (float32) in the window of 3 pixels a side around each pixel, in 2D and 3D.

    The median over the image, or 2.5 times the variance of the image's noise if that is more, is subtracted,
    so that neither even texture nor noise counts as detail. Unit: the square of the channel's robust range
    (`RobustScale`). If one map serves all channels, each pixel has the variance of the channel in which it is
    largest. Computed on the device of the image.

    `smoothing` holds sides of a (binomial) blur before, one of which is drawn per sample; None chooses the
    blur by the noise, which may be no blur at all, see `choose_blur`.
    """

    def __init__(self, smoothing: Sequence[int] | None = None) -> None:
        self.smoothing = check_kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Returns the variances above the floor, `[T, *S]`, of one sample `[C, *S]`."""
        scale = RobustScale.of(image)
        if self.smoothing is None:
            side, residual_noise = choose_blur(image, scale, shortest=1)
        else:
            side = draw_choice(self.smoothing, rng)
            residual_noise = estimate_noise(image, scale, side)
        floor = NOISE_MARGIN * variance_gain(side, image.ndim - 1) * residual_noise.square()
        variances = variance_map(image, scale, side, separate)
        return subtract_median(variances, floor if separate else floor.amax())


def variance_map(image: Tensor, scale: RobustScale, side: int, separate: bool) -> Tensor:
    """Returns the variances `[T, *S]` of `image` `[C, *S]`, smoothed with a kernel of `side`."""
    function = functools.partial(local_variance, side=side)
    return map_slabs(image, scale, (side + 1) // 2, separate, function)


def local_variance(image: Tensor, side: int) -> Tensor:
    """Returns the variance in windows of 3 a side of `image` `[C, *S]`, smoothed with a kernel of `side`.

    The kernel is binomial. The map lacks a border of (side + 1) / 2 pixels. It is computed axis by axis by
    the law of total variance, as mean of variances plus variance of means: a sum of squares, which is never
    negative and does not change with an offset. Opposite values are added first, so that a mirrored image
    gives the mirrored map to the last bit.
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
    """Returns the mean variance in windows of 3 a side of unit white noise after a binomial kernel of `side`.

    It is the variance of a pixel minus the variance of the mean over the window.
    """
    kernel = binomial(side)
    covariances = [float((kernel[step:] * kernel[: len(kernel) - step]).sum()) for step in range(3)]
    of_mean = (3 * covariances[0] + 4 * covariances[1] + 2 * covariances[2]) / 9
    return covariances[0] ** dims - of_mean**dims


def _triples(values: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the neighbour before, the value, and the neighbour after, `step` apart, where both exist."""
    return values[: -2 * step], values[step:-step], values[2 * step :]

"""Detail of an image or volume: how steep it is."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.patching.detail.intensity import RobustScale, above_median
from ucf_vit.patching.detail.noise import SPARE, gradient_gain, noise, quietest
from ucf_vit.patching.detail.per_sample import PerSample, kernel_sides, one_of
from ucf_vit.patching.detail.slabs import FlatGrid, local_map


class Gradient(PerSample):
    """Magnitude of the gradient (central differences, float32) after Gaussian smoothing, in 2D and 3D.

    Counted from its median over the image, or from 2.5 standard deviations of the image's noise where that is
    more, so that neither even texture nor noise is detail. All directions count alike. Unit: the channel's
    robust range (`RobustScale`) per pixel. Where one map serves all channels, each pixel has the magnitude of
    the channel in which it is largest.

    `smoothing`: sides of the (binomial) kernel, one of which is drawn per sample; None: by the noise, see
    `quietest`. Computed where the image is.
    """

    def __init__(self, smoothing: Sequence[int] | None = None) -> None:
        self.smoothing = kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The magnitudes that count, `[T, *S]`, of one sample `[C, *S]`."""
        scale = RobustScale.of(image)
        if self.smoothing is None:
            side, left = quietest(image, scale)
        else:
            side = one_of(self.smoothing, rng)
            left = noise(image, scale, side)
        floor = SPARE * gradient_gain(side, image.ndim - 1) * left
        return above_median(magnitude(image, scale, side, separate), floor if separate else floor.amax())


def magnitude(image: Tensor, scale: RobustScale, side: int, separate: bool) -> Tensor:
    """Magnitudes `[T, *S]` of the gradient of `image` `[C, *S]`, smoothed with a kernel of `side`."""
    squares = functools.partial(squared_gradient, side=side)
    return local_map(image, scale, (side + 1) // 2, separate, squares).sqrt_()


def squared_gradient(image: Tensor, side: int) -> Tensor:
    """Squared magnitude of the gradient of `image` `[C, *S]`, smoothed with a binomial kernel of `side`.

    Without the border of (side + 1) / 2 pixels that it takes. A mirrored image gives the mirrored map to the
    last bit.
    """
    grid = FlatGrid(image)
    smooth = grid.smooth(image.flatten(), side)
    before, after = grid.diagonal, len(smooth) - grid.diagonal
    squares = torch.zeros_like(smooth[before:after])
    for step in grid.steps:
        difference = smooth[before + step : after + step] - smooth[before - step : after - step]
        squares.addcmul_(difference, difference)
    squares *= 1 / 4
    return grid.inner(squares, (side + 1) // 2)

"""Magnitude of the gradient as the detail of an image or volume."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.patching.detail.intensity import RobustScale, subtract_median
from ucf_vit.patching.detail.noise import NOISE_MARGIN, choose_blur, estimate_noise, gradient_gain
from ucf_vit.patching.detail.per_sample import PerSampleDetail, check_kernel_sides, draw_choice
from ucf_vit.patching.detail.slabs import FlatGrid, map_slabs


class Gradient(PerSampleDetail):
    """Magnitude of the gradient (central differences, float32) after Gaussian smoothing, in 2D and 3D.

    The median over the image, or 2.5 standard deviations of the image's noise if that is more, is subtracted,
    so that neither even texture nor noise counts as detail. The magnitude is isotropic. Unit: the channel's
    robust range (`RobustScale`) per pixel. If one map serves all channels, each pixel has the magnitude of
    the channel in which it is largest. Computed on the device of the image.

    `smoothing` holds sides of the (binomial) kernel, one of which is drawn per sample; None chooses the side
    by the noise, see `choose_blur`.
    """

    def __init__(self, smoothing: Sequence[int] | None = None) -> None:
        self.smoothing = check_kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Returns the magnitudes above the floor, `[T, *S]`, of one sample `[C, *S]`."""
        scale = RobustScale.of(image)
        if self.smoothing is None:
            side, residual_noise = choose_blur(image, scale)
        else:
            side = draw_choice(self.smoothing, rng)
            residual_noise = estimate_noise(image, scale, side)
        floor = NOISE_MARGIN * gradient_gain(side, image.ndim - 1) * residual_noise
        magnitudes = gradient_magnitude(image, scale, side, separate)
        return subtract_median(magnitudes, floor if separate else floor.amax())


def gradient_magnitude(image: Tensor, scale: RobustScale, side: int, separate: bool) -> Tensor:
    """Returns the magnitudes `[T, *S]` of the gradient of `image` `[C, *S]` after a blur of `side` pixels."""
    squares = functools.partial(squared_gradient, side=side)
    return map_slabs(image, scale, (side + 1) // 2, separate, squares).sqrt_()


def squared_gradient(image: Tensor, side: int) -> Tensor:
    """Returns the squared magnitude of the gradient of `image` `[C, *S]`, smoothed with a kernel of `side`.

    The kernel is binomial. The map lacks a border of (side + 1) / 2 pixels. A mirrored image gives the
    mirrored map to the last bit.
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

"""Detail of an image or volume: how steep it is."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.patching.tree.intensity import above_median
from ucf_vit.patching.tree.per_sample import PerSample, kernel_sides, one_of
from ucf_vit.patching.tree.slabs import FlatGrid, local_map


class Gradient(PerSample):
    """Magnitude of the gradient (central differences, float32) after Gaussian smoothing, in 2D and 3D.

    Counted from its median over the image, so that even noise is no detail. All directions count alike.
    Unit: the channel's robust range (`RobustScale`) per pixel. Where one map serves all channels, each pixel
    has the magnitude of the channel in which it is largest. `smoothing`: sides of the (binomial) kernel, one
    of which is drawn per sample. Computed where the image is.
    """

    def __init__(self, smoothing: Sequence[int] = (3,)) -> None:
        self.smoothing = kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Magnitudes above their median, `[T, *S]`, of one sample `[C, *S]`."""
        return above_median(self.magnitude(image, rng, separate))

    def magnitude(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The magnitudes `[T, *S]` of one sample `[C, *S]`."""
        side = one_of(self.smoothing, rng)
        squares = functools.partial(squared_gradient, side=side)
        return local_map(image, (side + 1) // 2, separate, squares).sqrt_()


def squared_gradient(image: Tensor, side: int) -> Tensor:
    """Squared magnitude of the gradient of `image` `[C, *S]`, smoothed with a binomial kernel of `side`.

    Without the border of (side + 1) / 2 pixels that it takes.
    """
    grid = FlatGrid(image)
    smooth = image.flatten()
    for step in grid.steps:
        for _ in range(side - 1):
            smooth = torch.lerp(smooth[step:], smooth[:-step], 0.5)
    before, after = grid.diagonal, len(smooth) - grid.diagonal
    squares = torch.zeros_like(smooth[before:after])
    for step in grid.steps:
        difference = smooth[before + step : after + step] - smooth[before - step : after - step]
        squares.addcmul_(difference, difference)
    squares *= 1 / 4
    return grid.inner(squares, (side + 1) // 2)

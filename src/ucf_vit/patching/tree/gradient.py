"""Detail of an image or volume: how steep it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ucf_vit.patching.tree.intensity import normalise
from ucf_vit.patching.tree.per_sample import PerSample, kernel_sides, one_of


class Gradient(PerSample):
    """Magnitude of the gradient (central differences, float32) after Gaussian smoothing, in 2D and 3D.

    All directions count alike. Unit: the channel's robust range (`normalise`) per pixel. Where one map
    serves all channels, each pixel has the magnitude of the channel in which it is largest. `smoothing`:
    sides of the (binomial) kernel, one of which is drawn per sample. Computed where the image is.
    """

    def __init__(self, smoothing: Sequence[int] = (3,)) -> None:
        self.smoothing = kernel_sides(smoothing)

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The magnitudes `[T, *S]` of one sample `[C, *S]`."""
        side = one_of(self.smoothing, rng)
        squares = squared_gradient(normalise(image), side)
        return (squares if separate else squares.amax(0, keepdim=True)).sqrt_()


def squared_gradient(image: Tensor, side: int) -> Tensor:
    """`[C, *S]` to the squared magnitude of its gradient; at the border the image goes on as it ends."""
    axes = range(1, image.ndim)
    padded = F.pad(image[None], [(side + 1) // 2] * 2 * len(axes), mode="replicate")[0]
    smooth = _sums_of_neighbours(padded, axes, times=side - 1)
    total = None
    for axis in axes:
        inner = smooth
        for other in axes:
            if other != axis:
                inner = inner.narrow(other, 1, image.shape[other])
        count = image.shape[axis]
        difference = inner.narrow(axis, 2, count) - inner.narrow(axis, 0, count)
        total = difference.square_() if total is None else total.addcmul_(difference, difference)
    assert total is not None
    return total.mul_(0.25 / 4 ** (len(axes) * (side - 1)))


def _sums_of_neighbours(image: Tensor, axes: Sequence[int], times: int) -> Tensor:
    """Sums of two neighbours, `times` along each axis: binomial weights that add up to 2**times per axis."""
    for axis in axes:
        for _ in range(times):
            count = image.shape[axis] - 1
            image = image.narrow(axis, 0, count) + image.narrow(axis, 1, count)
    return image

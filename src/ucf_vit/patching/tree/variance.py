"""Detail of an image or volume: how much its intensities vary nearby."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Generator, Tensor

from ucf_vit.patching.tree.intensity import normalise
from ucf_vit.patching.tree.per_sample import PerSample


class Variance(PerSample):
    """Variance (float32) in the window of 3 pixels a side around each pixel, in 2D and 3D.

    Unit: the square of the channel's robust range (`normalise`). Where one map serves all channels, each
    pixel has the variance of the channel in which it is largest. Computed where the image is.
    """

    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The variances `[T, *S]` of one sample `[C, *S]`."""
        variance = local_variance(normalise(image))
        return variance if separate else variance.amax(0, keepdim=True)


def local_variance(image: Tensor) -> Tensor:
    """`[C, *S]` to the variance in windows of 3 a side; at the border the image goes on as it ends.

    Axis by axis by the law of total variance, mean of variances plus variance of means: a sum of squares,
    so never negative and blind to a shift.
    """
    axes = range(1, image.ndim)
    mean = F.pad(image[None], [1] * 2 * len(axes), mode="replicate")[0]
    variance = None
    for axis in axes:
        a, b, c = _triples(mean, axis)
        spread = ((a - b).square_() + (b - c).square_() + (c - a).square_()) / 9
        if variance is not None:
            spread += sum(_triples(variance, axis)) / 3
        mean, variance = (a + b + c) / 3, spread
    assert variance is not None
    return variance


def _triples(image: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each element along `axis` that has two neighbours: the one before, itself, the one after."""
    count = image.shape[axis] - 2
    return image.narrow(axis, 0, count), image.narrow(axis, 1, count), image.narrow(axis, 2, count)

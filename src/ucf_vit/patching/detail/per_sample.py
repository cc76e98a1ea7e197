"""What the details have in common: one sample at a time, with options drawn for the sample."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import generator


class PerSample(ABC):
    """A detail whose map of a sample depends on that sample and its key alone, never on the batch."""

    def __call__(self, image: Tensor, keys: Tensor | None, separate: bool) -> Tensor:
        """The maps `[B, T, *S]` of `image` `[B, C, *S]` of any real type, all values >= 0, on its device.

        T is C if `separate`, else one map serves all channels. `keys` `[B]` int64 seed what is drawn per
        sample; without them it is the middle of what could be drawn.
        """
        image = image.float() if image.dtype == torch.bool else image
        rngs = [None] * len(image) if keys is None else [generator(key, "detail") for key in keys.tolist()]
        maps = [self.map(sample, rng, separate) for sample, rng in zip(image, rngs, strict=True)]
        return maps[0][None] if len(maps) == 1 else torch.stack(maps)

    @abstractmethod
    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """The maps `[T, *S]` of one sample `[C, *S]`."""


def kernel_sides(smoothing: Sequence[int] | None) -> tuple[int, ...] | None:
    """`smoothing` as sides of Gaussian kernels, None as None; UserError unless all are odd and positive."""
    if smoothing is None:
        return None
    if not smoothing or any(side < 1 or side % 2 == 0 for side in smoothing):
        raise UserError(
            f"detail_smoothing {list(smoothing)}: expected odd sides of a kernel in pixels, such as [3] "
            "or [1, 3, 5]; 1 is no smoothing"
        )
    return tuple(smoothing)


def one_of(choices: Sequence[int], rng: Generator | None) -> int:
    """One of `choices`, all as likely; without `rng` their (lower) median."""
    if rng is None:
        return statistics.median_low(choices)
    return choices[int(torch.randint(len(choices), (), generator=rng))]


def between(limits: Sequence[float], rng: Generator | None) -> float:
    """A number between the first and the last of `limits`, all as likely; without `rng` the middle."""
    share = 0.5 if rng is None else float(torch.rand((), generator=rng))
    return limits[0] + share * (limits[-1] - limits[0])

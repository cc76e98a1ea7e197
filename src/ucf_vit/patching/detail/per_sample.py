"""Base class of details that are computed sample by sample, with options drawn per sample."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import generator


class PerSampleDetail(ABC):
    """Detail whose map of a sample depends only on the sample and its key, not on the batch."""

    def __call__(self, image: Tensor, keys: Tensor | None, separate: bool) -> Tensor:
        """Returns maps `[B, T, *S]` of values >= 0 for `image` `[B, C, *S]` of any real type, on its device.

        T is C if `separate`, otherwise 1: one map serves all channels. `keys` `[B]` int64 seed the options
        that are drawn per sample; without keys each option has its middle value.
        """
        image = image.float() if image.dtype == torch.bool else image
        rngs = [None] * len(image) if keys is None else [generator(key, "detail") for key in keys.tolist()]
        maps = [self.map(sample, rng, separate) for sample, rng in zip(image, rngs, strict=True)]
        return maps[0][None] if len(maps) == 1 else torch.stack(maps)

    @abstractmethod
    def map(self, image: Tensor, rng: Generator | None, separate: bool) -> Tensor:
        """Returns the maps `[T, *S]` of one sample `[C, *S]`."""


def check_kernel_sides(smoothing: Sequence[int] | None) -> tuple[int, ...] | None:
    """Returns `smoothing` as a tuple. Raises UserError unless all sides are odd and positive."""
    if smoothing is None:
        return None
    if not smoothing or any(side < 1 or side % 2 == 0 for side in smoothing):
        raise UserError(
            f"detail_smoothing {list(smoothing)}: expected odd sides of a kernel in pixels, such as [3] "
            "or [1, 3, 5]; 1 is no smoothing"
        )
    return tuple(smoothing)


def draw_choice(choices: Sequence[int], rng: Generator | None) -> int:
    """Returns one of `choices` with equal probability; without `rng` their (lower) median."""
    if rng is None:
        return statistics.median_low(choices)
    return choices[int(torch.randint(len(choices), (), generator=rng))]


def draw_uniform(limits: Sequence[float], rng: Generator | None) -> float:
    """Returns a uniform number between the first and the last of `limits`; without `rng` the middle."""
    position = 0.5 if rng is None else float(torch.rand((), generator=rng))
    return limits[0] + position * (limits[-1] - limits[0])

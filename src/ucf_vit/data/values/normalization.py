"""Normalization of intensities: `(value - shift) / divisor` per channel, with or without clipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.values.memory_order import compact
from ucf_vit.data.values.quantiles import percentiles
from ucf_vit.data.values.running_moments import moments, present

_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
"""Limits of float32, the type of normalised values."""
Kind = Literal["minmax", "zscore", "window", "percentiles", "mean_std", "stats", "none"]


class Affine(NamedTuple):
    """`(value - shift) / divisor` per channel, `[C]` each; an infinite divisor gives zeros."""

    shift: NDArray[np.float64]
    divisor: NDArray[np.float64]


@dataclass(frozen=True)
class Normalization:
    """Normalization of intensities, each channel of each item separately.

    minmax: the item's range becomes [0, 1]. zscore: mean 0, standard deviation 1. window: [low, high] becomes
    [0, 1], clipped. percentiles: the same between the percentiles low and high of all values of the item or,
    where these are equal (a small object on an empty background), between its smallest and its largest value.
    mean_std: the given `mean` and `std` per channel (one entry is used for all channels). stats: becomes
    mean_std once the statistics of the training items are known (`Statistics.normalization`). none: as
    stored. A constant channel becomes 0 under minmax, zscore and percentiles.

    With `missing`, NaN marks a missing value: it is left out of all statistics and becomes 0. With a number
    `nan`, NaN is replaced by this stored value. Without either, NaN is an error.
    """

    kind: Kind = "minmax"
    low: float = 0.5
    high: float = 99.5
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    missing: bool = False
    nan: float | None = None

    def __post_init__(self) -> None:
        if self.kind in ("window", "percentiles") and not self.low < self.high:
            raise DataError(f"normalization {self.kind}: expected low < high, got {self.low} and {self.high}")
        if self.kind == "percentiles" and not (self.low >= 0 and self.high <= 100):
            raise DataError(f"normalization percentiles: {self.low} and {self.high} are not within [0, 100]")
        if self.kind == "mean_std" and (
            not self.mean or len(self.mean) != len(self.std) or min(self.std) <= 0
        ):
            raise DataError("normalization mean_std: expected one mean and one positive std per channel")

    @property
    def clip(self) -> bool:
        """Whether values outside [0, 1] are clipped."""
        return self.kind in ("window", "percentiles")

    @property
    def unit_range(self) -> bool:
        """Whether values are brought to [0, 1]."""
        return self.kind in ("minmax", "window", "percentiles")

    @property
    def needs_whole_item(self) -> bool:
        """Whether the normalization depends on the values of the whole item; else a tile can be read on its
        own.
        """
        return self.kind in ("minmax", "zscore", "percentiles")

    def fit(self, image: NDArray[Any], channels: Sequence[int]) -> Affine:
        """Returns shift and divisor for a whole item; `image` `[C, *S]` contains its `channels`.

        Raises DataError where `needs_whole_item` and a value is infinite, or NaN and not `missing`.
        """
        pairs = []
        for number, channel in zip(channels, image, strict=True):
            values, low, high = channel, 0.0, 0.0
            if self.needs_whole_item:
                values = self.valid_values(channel)
                low, high = value_range(values, f"channel {number}")
            pairs.append(self._pair(values, number, low, high))
            if not pairs[-1][1] >= _SMALLEST:
                raise DataError(
                    f"channel {number} holds values that differ by {pairs[-1][1]:g} only; rescale them"
                )
        shift, divisor = np.asarray(pairs, np.float64).T
        return Affine(shift, divisor)

    def _pair(self, channel: NDArray[Any], number: int, low: float, high: float) -> tuple[float, float]:
        if self.kind == "none":
            return 0.0, 1.0
        if self.kind == "stats":
            raise DataError("normalization stats: no statistics are given; `ucf-vit stats CONFIG` finds them")
        if self.kind == "mean_std":
            entry = number if len(self.mean) > 1 else 0
            return self.mean[entry], self.std[entry]
        if self.kind == "window":
            return self.low, self.high - self.low
        if self.kind == "percentiles" and low < high:
            inner, outer = percentiles(channel, (self.low, self.high))
            low, high = (inner, outer) if inner < outer else (low, high)
        if low == high:
            return low, np.inf
        if self.kind == "zscore":
            statistics = moments(channel)
            return statistics.mean, statistics.std
        return low, high - low

    def check(self, image: NDArray[Any], channels: Sequence[int]) -> None:
        """Raises DataError for a tile with values that `fit` would refuse in an item."""
        if image.dtype.kind == "f":
            for number, channel in zip(channels, image, strict=True):
                value_range(self.valid_values(channel), f"channel {number}")

    def valid_values(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns the values without missing ones and with NaN replaced by `nan`; `values` itself where
        possible.
        """
        if self.missing:
            return present(values)
        if self.nan is None or values.dtype.kind != "f":
            return values
        missing = np.isnan(values)
        return np.where(missing, values.dtype.type(self.nan), values) if missing.any() else values

    def apply(self, image: NDArray[Any], affine: Affine, out: NDArray[np.float32]) -> None:
        """Writes the normalised `image` `[C, *S]` (any real type) to `out`, reading its memory once."""
        exact = np.result_type(image.dtype, np.float32).type
        for channel, shift, divisor, target in zip(image, *affine, out, strict=True):
            np.subtract(compact(channel), exact(shift), out=target, casting="unsafe")
            if divisor != 1:
                target /= np.float32(divisor)
            if self.nan is not None:
                np.copyto(target, np.float32((self.nan - shift) / divisor), where=np.isnan(target))
            if self.clip:
                np.clip(target, 0, 1, out=target)
            if self.missing:
                np.copyto(target, 0, where=np.isnan(target))


def value_range(values: NDArray[Any], name: str) -> tuple[float, float]:
    """Returns the smallest and the largest value; 0 and 0 of an empty array.

    Raises DataError, which mentions `name`, where float32 can't represent all values.
    """
    if not values.size:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if np.isnan(low):
        raise DataError(
            f"{name} holds NaN or infinite values; data.dict_nan says what NaN stands for, such as "
            "{NAME: 0} outside a mask"
        )
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{name} holds NaN or infinite values")
    if max(-low, high, high - low) > _LARGEST:
        raise DataError(f"{name} holds values from {low:g} to {high:g}, too large for float32; rescale them")
    return low, high

"""Values and tiles of images as in the training of the network. Needs numpy only."""

from collections.abc import Iterator
from itertools import product

import numpy as np


def normalise(image: np.ndarray, how: dict) -> np.ndarray:
    """Returns an image [C, *S] with the values that the network takes; ValueError for NaN and infinity."""
    return np.stack([_channel(values, how, number) for number, values in enumerate(image)])


def _channel(values: np.ndarray, how: dict, number: int) -> np.ndarray:
    """Returns a channel as (value - shift) / divisor, clipped where the training did so."""
    if how["nan"] is not None and values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(how["nan"]), values)
    if not np.isfinite(values).all():
        raise ValueError(f"channel {number} holds NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    if how["kind"] == "percentiles":
        inner, outer = np.percentile(values, (how["low"], how["high"]))
        low, high = (inner, outer) if inner < outer else (low, high)
    shift, divisor = low, (high - low) or np.inf
    if how["kind"] == "zscore" and low < high:
        shift, divisor = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    elif how["kind"] == "fixed":
        shift, divisor = (how[name][number % len(how[name])] for name in ("shift", "divisor"))
    values = np.subtract(values, np.result_type(values.dtype, np.float32).type(shift)).astype(np.float32)
    values /= np.float32(divisor)
    return np.clip(values, 0, 1) if how["clip"] else values


def tiles(image: np.ndarray, window: list[int], stride: list[int]) -> Iterator[tuple]:
    """Yields the place and the values [1, C, *W] of tiles that cover an image [C, *S].

    The last tiles end at the border. Sides shorter than a tile are padded with 0 at their end.
    """
    missing = [max(w - n, 0) for n, w in zip(image.shape[1:], window)]
    image = np.pad(image, [(0, 0), *((0, one) for one in missing)])
    sizes = list(zip(image.shape[1:], window, stride))
    starts = [[min(k * step, n - w) for k in range(-(-(n - w) // step) + 1)] for n, w, step in sizes]
    for corner in product(*starts):
        place = tuple(slice(start, start + side) for start, side in zip(corner, window))
        yield place, np.ascontiguousarray(image[(slice(None), *place)][None])

"""Windows that cover an image, and the cells into which their borders cut it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.core.errors import UserError

Cell = tuple[int, ...]
Region = tuple[slice, ...]


@dataclass(frozen=True)
class WindowAxis:
    """Windows along one axis, and the intervals between their borders.

    Interval `i` spans `edges[i]` to `edges[i + 1]` and lies in windows `first[i]` to `last[i]`.
    """

    starts: tuple[int, ...]
    edges: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]


def window_axis(length: int, window: int, overlap: float) -> WindowAxis:
    """Returns windows that start every `int(window * (1 - overlap))` voxels; the last ends at the border.

    The same windows as those of MONAI's `sliding_window_inference`. Raises UserError where `overlap` is
    outside [0, 1) or the axis is shorter than a window.
    """
    stride = window_stride(window, overlap)
    if length < window:
        raise UserError(f"an axis of {length} voxels has no room for a window of {window}")
    count = math.ceil((length - window) / stride) + 1
    starts = tuple(min(k * stride, length - window) for k in range(count))
    edges = tuple(sorted({*starts, *(start + window for start in starts)}))
    inside = [[k for k, s in enumerate(starts) if s <= edge < s + window] for edge in edges[:-1]]
    return WindowAxis(starts, edges, tuple(k[0] for k in inside), tuple(k[-1] for k in inside))


def window_stride(window: int, overlap: float) -> int:
    """Returns the distance between windows. Raises UserError where `overlap` is outside [0, 1)."""
    if not 0 <= overlap < 1:
        raise UserError(f"overlap {overlap} of windows: expected 0 <= overlap < 1")
    return max(int(window * (1 - overlap)), 1)


class Windows:
    """Windows of size `window` `[*S]` over an image of `shape` `[*S]`, numbered in row-major order.

    The borders of all windows cut the image into cells. A cell lies in a block of windows, so that it is
    complete once the last of them is.
    """

    def __init__(self, shape: Sequence[int], window: Sequence[int], overlap: float) -> None:
        self.window = tuple(window)
        self.axes = tuple(window_axis(n, w, overlap) for n, w in zip(shape, window, strict=True))
        self.counts = tuple(len(axis.starts) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self.counts)

    def region(self, number: int) -> Region:
        """Returns the voxels of window `number`."""
        starts = [axis.starts[k] for axis, k in zip(self.axes, self._place(number), strict=True)]
        return tuple(slice(s, s + w) for s, w in zip(starts, self.window, strict=True))

    def cells(self, number: int) -> Iterator[Cell]:
        """Yields the cells of window `number`."""
        places = zip(self.axes, self._place(number), strict=True)
        return itertools.product(
            *([i for i, f in enumerate(axis.first) if f <= k <= axis.last[i]] for axis, k in places)
        )

    def cell_region(self, cell: Cell) -> Region:
        """Returns the voxels of a cell."""
        pairs = zip(self.axes, cell, strict=True)
        return tuple(slice(axis.edges[i], axis.edges[i + 1]) for axis, i in pairs)

    def next_window(self, cell: Cell, number: int) -> int | None:
        """Returns the next window after `number` in which the cell lies, None if `number` is the last."""
        place = list(self._place(number))
        for d in range(len(place) - 1, -1, -1):
            axis, i = self.axes[d], cell[d]
            if place[d] < axis.last[i]:
                place[d] += 1
                return self._number(place)
            place[d] = axis.first[i]
        return None

    def _place(self, number: int) -> tuple[int, ...]:
        place = []
        for count in reversed(self.counts):
            number, k = divmod(number, count)
            place.append(k)
        return tuple(reversed(place))

    def _number(self, place: Sequence[int]) -> int:
        number = 0
        for k, count in zip(place, self.counts, strict=True):
            number = number * count + k
        return number


def gaussian_weights(window: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Returns weights `[*S]` of the voxels of a window: a Gaussian with a deviation of an eighth of its side.

    No weight is below 1e-3. The same as MONAI's importance map with `sigma_scale` 0.125.
    """
    weights = torch.ones((), device=device)
    for side in window:
        place = torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2
        weights = weights[..., None] * torch.exp(-(place**2) / (2 * (side / 8) ** 2))
    return weights.clamp(min=max(float(weights.min()), 1e-3))


def pad_to_window(image: Tensor, window: Sequence[int]) -> Tensor:
    """Returns images `[B, C, *S]` with 0 at the end of sides shorter than a window; others as given."""
    missing = [max(w - n, 0) for w, n in zip(window, image.shape[2:], strict=True)]
    pads = [pad for side in reversed(missing) for pad in (0, side)]
    return F.pad(image, pads) if any(missing) else image

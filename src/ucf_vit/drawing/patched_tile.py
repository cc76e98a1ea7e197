"""One tile cut into adaptive patches and pasted back, as arrays that can be looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.paste import paste, paste_labels
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.uniformity import advice_if_uniform

Array = NDArray[Any]
_AT_ONCE = 2**20
"""Values that are compared at once, so that no copy of a large tile is made."""


@dataclass(frozen=True)
class PatchedTile:
    """A tile `image` `[C, *S]` and what the `patcher` makes of it, with T trees.

    `detail` is `[T, *S]`, `order` `[T, *S]` the number of each pixel's token, `back` `[C, *S]` the image that
    the tokens hold; the latter two are NaN where there is no leaf. Leaves are those of one sample.
    `window`: what is to be shown black and white; None if nothing is known about it. `advice`: what to change
    where the leaves are nearly uniform, else empty.
    """

    patcher: AdaptivePatcher
    image: Array
    detail: Array
    order: Array
    back: Array
    leaves: Leaves
    window: tuple[float, float] | None = None
    advice: str = ""

    @property
    def counts(self) -> list[int]:
        """Leaves of each tree."""
        return self.leaves.counts.tolist()

    @property
    def covered(self) -> float:
        """Share of the tile that has a leaf; less than 1 where leaves were dropped."""
        return float(np.isfinite(self.order).mean())

    def psnr(self) -> float:
        """Peak signal-to-noise ratio of `back` in dB against the range of the image, where there are leaves.

        Infinite if the two differ only by rounding.
        """
        reach = float(self.image.max()) - float(self.image.min())
        largest, squares, count = 0.0, 0.0, 0
        rows = max(1, _AT_ONCE * self.image.shape[1] // self.image.size)
        for first in range(0, self.image.shape[1], rows):
            band = (slice(None), slice(first, first + rows))
            error = self.back[band].astype(np.float64) - self.image[band]
            error = error[np.isfinite(error)]
            largest = max(largest, float(np.abs(error).max(initial=0.0)))
            squares += float(np.square(error).sum())
            count += error.size
        if largest <= 1e-5 * max(reach, float(self.image.max()), -float(self.image.min())):
            return math.inf
        return 20 * math.log10(reach / math.sqrt(squares / count))


@torch.no_grad()
def patched(
    image: Tensor, patcher: AdaptivePatcher, window: tuple[float, float] | None = None
) -> PatchedTile:
    """Grow, cut and paste a tile `[C, *S]`. Raises UserError if it does not fit the patcher."""
    batch = image[None]
    detail = patcher.detail_of(batch)
    leaves = patcher.grow_on(detail)
    numbers = torch.arange(1, leaves.length + 1, device=image.device, dtype=torch.int32).repeat(leaves.trees)
    order = _array(paste_labels(numbers.view(1, -1, *[1] * leaves.forest.dims), leaves)).astype(np.float32)
    order[order == 0] = np.nan
    order -= 1
    back = _array(paste(patcher.cut(batch, leaves).values, leaves)).astype(np.float32, copy=False)
    np.copyto(back, np.nan, where=np.isnan(order))
    advice = advice_if_uniform(leaves, detail[0], patcher)
    return PatchedTile(patcher, _array(batch), _array(detail), order, back, leaves.to("cpu"), window, advice)


def _array(batch: Tensor) -> Array:
    tensor = batch[0].cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


@dataclass(frozen=True)
class View:
    """View of a tile: a whole image, or the slice `index` of a volume along `axis`.

    An image has its first axis downwards; a slice has its first axis to the right, its second one upwards.
    """

    space: tuple[int, ...]
    axis: int | None = None
    index: int = 0

    @property
    def name(self) -> str:
        """E.g. `z = 17`; nothing for an image."""
        return "" if self.axis is None else f"{'xyz'[self.axis]} = {self.index}"

    @property
    def plane(self) -> tuple[int, int]:
        """The axes to the right and up or down."""
        if self.axis is None:
            return 1, 0
        right, up = (axis for axis in range(3) if axis != self.axis)
        return right, up

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        right, up = self.plane
        return self.space[right], self.space[up]

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """Left, right, bottom and top of the axes; pixel i reaches from i to i + 1."""
        width, height = self.size
        return (0, width, height, 0) if self.axis is None else (0, width, 0, height)

    def cut(self, tile: Array) -> Array:
        """`[*S]` to `[height, width]`, the first row on top."""
        return tile if self.axis is None else tile.take(self.index, axis=self.axis).T[::-1]

    def boxes(self, leaves: Leaves, tree: int) -> tuple[Array, Array]:
        """First corner and sides `[M, 2]` (right, up or down) of the leaves in view, in their order."""
        start, sides = leaves.start[tree].numpy(), leaves.sides[tree].numpy()
        seen = sides[:, 0] > 0
        if self.axis is not None:
            first = start[:, self.axis]
            seen = seen & (first <= self.index) & (self.index < first + sides[:, self.axis])
        return start[seen][:, self.plane], sides[seen][:, self.plane]


def views(detail: Array) -> list[View]:
    """The whole image, or three orthogonal slices, each where its axis has most of the detail `[*S]`."""
    if detail.ndim == 2:
        return [View(detail.shape)]
    return [
        View(detail.shape, axis, int(detail.sum(tuple({0, 1, 2} - {axis}), dtype=np.float64).argmax()))
        for axis in (2, 1, 0)
    ]

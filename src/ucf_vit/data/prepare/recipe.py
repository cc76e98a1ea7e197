"""Changes of values and shapes that are made once, when a data set is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Regrid, regrid
from ucf_vit.data.geometry.resample import resample_image, resample_nearest
from ucf_vit.data.sources import Item, Source
from ucf_vit.data.splits.make import seeded
from ucf_vit.data.splits.seeded import Fractions
from ucf_vit.data.values.normalization import Normalization


@dataclass(frozen=True)
class Recipe:
    """Steps applied to each item, in this order; None leaves a step out.

    `spacing` (mm) or `shape`, along the stored axes: resampled, images by cubic splines and smoothed where
    they shrink (slices far apart by the nearest one), labels by the nearest voxel. `clip`: values are limited
    to (low, high). `mean_std`: the mean is subtracted, the rest divided by the deviation; `standardise` does
    it with those of each channel. `pad`: smaller items are padded on both sides to this shape, images with
    their smallest value, labels with 0. `binary`: labels above 0 become 1. `split`: fractions for training,
    validation and test, drawn from `seed`; items of a group stay together.
    """

    spacing: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None
    clip: tuple[float, float] | None = None
    mean_std: tuple[float, float] | None = None
    standardise: bool = False
    pad: tuple[int, ...] | None = None
    binary: bool = False
    split: tuple[float, float, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = [*(self.shape or ()), *(self.spacing or ()), *(self.pad or ())]
        if any(not 0 < size < np.inf for size in sizes):
            raise UserError(f"shapes and spacings are positive numbers, got {sizes}")
        if self.shape and self.spacing:
            raise UserError("--reshape and --spacing both say the shape; give one of them")
        if self.mean_std and self.standardise:
            raise UserError("--mean-std and --standardise both scale the values; give one of them")
        if self.mean_std and not self.mean_std[1] > 0:
            raise UserError(f"--mean-std: expected a deviation above 0, got {self.mean_std[1]:g}")
        if self.clip and not self.clip[0] < self.clip[1]:
            raise UserError(f"--clip: expected low < high, got {self.clip[0]:g} and {self.clip[1]:g}")
        if self.split and (abs(sum(self.split) - 1) > 1e-6 or min(self.split) < 0 or self.split[0] == 0):
            raise UserError(
                f"--split {self.split}: expected fractions of training, validation, test with sum 1"
            )

    @property
    def options(self) -> dict[str, Any]:
        """Steps that are not left out, by name."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Recipe(), name)}

    @property
    def changes_values(self) -> bool:
        """Whether prepared values are to be used as they are, without another normalization."""
        return self.standardise or self.mean_std is not None

    @property
    def resamples(self) -> bool:
        """Whether items get another number of voxels than by padding."""
        return self.shape is not None or self.spacing is not None

    def regrid(self, shape: Sequence[int], geometry: Geometry | None, path: str) -> Regrid:
        """Returns how the grid `(*S)` is resampled, before padding. Raises DataError where it can't be."""
        wanted = self.shape or self.spacing or self.pad
        if wanted is not None and len(wanted) != len(shape):
            raise DataError(f"{path}: has {len(shape)} axes, {len(wanted)} are given: {wanted}")
        if self.spacing is not None and geometry is None:
            raise DataError(f"{path}: has no spacing; give the shape instead")
        same = regrid(geometry or Geometry(tuple(shape), np.eye(4)), GridOptions(spacing=self.spacing))
        if self.shape is None:
            return same
        steps = tuple(old / new for old, new in zip(shape, self.shape, strict=True))
        return replace(same, shape=self.shape, steps=steps)

    def padded(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Returns the shape `(*S)` after padding."""
        return tuple(max(pair) for pair in zip(shape, self.pad or shape, strict=True))

    def image(self, image: NDArray[Any], grid: Regrid) -> NDArray[Any]:
        """Returns an image `[C, *S]` resampled to the shape of `grid`, with its new values, padded."""
        if grid.resamples:
            image = resample_image(image, grid)
        if self.clip or self.changes_values:
            image = np.array(image, np.float32)
        if self.clip:
            image = image.clip(*self.clip)
        if self.mean_std:
            image = (image - np.float32(self.mean_std[0])) / np.float32(self.mean_std[1])
        if self.standardise:
            affine = Normalization("zscore").fit(image, range(len(image)))
            for channel, shift, divisor in zip(image, *affine, strict=True):
                channel[...] = (channel - shift) / divisor
        return _padded(image, self.padded(grid.shape), image.min())

    def label(self, label: NDArray[Any], grid: Regrid) -> NDArray[Any]:
        """Returns a label `[*S]` resampled to the shape of `grid`, padded; whole numbers to 255 as uint8."""
        if self.binary:
            label = (label > 0).astype(np.uint8)
        if grid.resamples:
            label = resample_nearest(label, grid)
        label = _padded(label[None], self.padded(grid.shape), 0)[0]
        small = label.astype(np.uint8) if label.min() >= 0 and label.max() <= 255 else label
        return small if np.array_equal(small, label) else label


def _padded(array: NDArray[Any], shape: Sequence[int], value: Any) -> NDArray[Any]:
    """Returns `[C, *S]` with its spatial axes padded to `shape`, half on either side."""
    lacking = [size - had for size, had in zip(shape, array.shape[1:], strict=True)]
    width = [(0, 0), *((some // 2, some - some // 2) for some in lacking)]
    return np.pad(array, width, constant_values=value) if any(lacking) else array


class Processed(Source):
    """The items of `inner` as a recipe changes them; shapes and splits come from headers and names only."""

    def __init__(self, inner: Source, recipe: Recipe) -> None:
        self.inner, self.recipe = inner, recipe
        self.variables, self.spatial_dims = tuple(inner.variables), inner.spatial_dims
        self.class_names, self.missing, self.by_name = inner.class_names, inner.missing, inner.by_name
        self.label_names = {0: "background", 1: "foreground"} if recipe.binary else inner.label_names
        self.normalization = Normalization("none") if recipe.changes_values else inner.normalization
        self.arrays, self.made_with = inner.arrays, inner.made_with
        self._last: tuple[tuple[str, int, bool], Sample] | None = None

    def items(self) -> Sequence[Item]:
        """Returns the items of the inner source, with splits if the recipe draws them."""
        items = self.inner.items()
        self.passed_over = getattr(self.inner, "passed_over", None)
        if self.recipe.split is None:
            return items
        fractions = Fractions(*self.recipe.split[1:])
        splits = seeded({"": items}, {"": self.inner}, fractions, self.recipe.seed, "classes")[""]
        return [replace(item, split=splits[item.key]) for item in items]

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)` after the recipe."""
        return (len(self.variables), *self.recipe.padded(self._regrid(item).shape))

    def geometry(self, item: Item) -> Geometry | None:
        """Returns the grid after the recipe; None for padded items."""
        grid = self.grid(item)
        return None if grid is None else grid.geometry

    def grid(self, item: Item) -> Regrid | None:
        """Returns how the stored grid was changed; None for padded items, and those without a position."""
        stored, made = self.inner.grid(item), self._regrid(item)
        if stored is None or self.recipe.padded(made.shape) != made.shape:
            return None
        return made if self.recipe.resamples else stored

    def parts(self, item: Item) -> Sequence[str]:
        """Returns the files of the inner source."""
        return self.inner.parts(item)

    def remarks(self) -> Sequence[str]:
        """Returns the remarks of the inner source."""
        return self.inner.remarks()

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns voxels of the changed item; the last one is kept, so that it can be read in parts."""
        whole = self._whole(item)
        region = region or (slice(None),) * self.spatial_dims
        image = whole.image[(slice(None), *region)]
        image = image if channels is None else image[list(channels)]
        names = whole.variables if channels is None else tuple(whole.variables[c] for c in channels)
        is_volume = whole.label is not None and whole.label.ndim
        label = whole.label[region] if whole.label is not None and is_volume else whole.label
        return Sample(image, label, names, whole.file)

    def _regrid(self, item: Item) -> Regrid:
        return self.recipe.regrid(self.inner.shape(item)[1:], self.inner.geometry(item), item.image)

    def _whole(self, item: Item) -> Sample:
        key = (item.key, item.step, item.label is None)
        if self._last is None or self._last[0] != key:
            grid, sample = self._regrid(item), self.inner.read(item)
            label = sample.label
            if label is not None and label.ndim:
                label = self.recipe.label(label, grid)
            made = Sample(self.recipe.image(sample.image, grid), label, sample.variables, sample.file)
            self._last = key, made
        return self._last[1]

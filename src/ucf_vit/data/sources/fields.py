"""Gridded fields: physical variables on one grid over time steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.core.text import one_form
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats import STORES, SUFFIXES, FieldFile, open_fields, open_remote_zarr
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.listing import Listing, suffix_of
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import CONCURRENCY, Cache, Files, is_remote, name_of
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization

Found = TypeVar("Found")


class Grid(NamedTuple):
    """Number of time steps of a file, and the shape of its variables at one of them."""

    steps: int
    space: tuple[int, ...]


class Fields(Source):
    """Variables `[T, H, W]` or `[T, H, W, D]` (or constant in time, without T) in .npz, NetCDF or Zarr files.

    An item is one time step of one file. `variables` are found by name, in whatever order the file has them
    (default: all variables of the first file with the largest number of axes). Three axes are `[H, W, D]`
    with `tile_dims` 3, else `[T, H, W]`. NaN, `fill_value` and values that a NetCDF or Zarr file declares as
    missing are missing.
    """

    normalization = Normalization("stats")
    missing = True
    by_name = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = (),
        fill_value: float | None = None,
        tile_dims: int = 2,
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        self._scratch = scratch or Scratch()
        self._files = files or Files(Cache(self._scratch))
        self.paths = self._paths(str(root))
        self.fill_value = fill_value
        self._shapes: dict[str, Mapping[str, tuple[int, ...]]] = {}
        first = self._first_shapes()
        axes = max((len(shape) for name, shape in first.items() if name in (variables or first)), default=0)
        self.spatial_dims = min(axes, 3) if axes != 3 else max(2, min(tile_dims, 3))
        self.variables = tuple(variables) or tuple(n for n, shape in first.items() if len(shape) == axes)
        if axes < 2 and not variables:
            raise DataError(f"{self.paths[0]}: no variable in it is a field; expected [H, W] or more axes")

    def items(self) -> Sequence[Item]:
        """Returns all time steps of all files, sorted by file name, then by time."""
        with ThreadPoolExecutor(max_workers=CONCURRENCY) as pool:
            grids = pool.map(self._grid_or_none, self.paths)
            return [
                Item(f"{one_form(name_of(path))}[{step}]", path, step=step)
                for path, grid in zip(self.paths, grids, strict=True)
                for step in range(grid.steps if grid else 1)
            ]

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)` from the file's header."""
        return (len(self.variables), *self._grid(item.image).space)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` as float32 or float64, with NaN where a value is missing."""
        chosen = range(len(self.variables)) if channels is None else channels
        names = tuple(self.variables[channel] for channel in chosen)
        region = region or (slice(None),) * self.spatial_dims
        self._grid(item.image)

        def values(file: FieldFile) -> NDArray[Any]:
            return np.stack([self._values(file, name, item.step, region) for name in names])

        return Sample(self._of(item.image, values), None, names, item.image)

    def _of(self, path: str, look: Callable[[FieldFile], Found]) -> Found:
        """Returns `look(file)` for the open file. Raises DataError."""
        remote, limit = is_remote(path), self._files.limit
        scratch = self._files.cache.scratch if remote else self._scratch

        def load(file: Path) -> Found:
            with open_fields(str(file), scratch, limit, path if remote else None) as opened:
                return look(opened)

        with reading(path):
            if remote and suffix_of(path, STORES):
                with open_remote_zarr(path, self._files.patience, limit) as store:
                    return look(store)
            return self._files.using(path, load)

    def _values(self, file: FieldFile, name: str, step: int, region: tuple[slice, ...]) -> NDArray[Any]:
        constant = len(file.shapes[name]) == self.spatial_dims
        stored = file.read(name, region if constant else (step, *region))
        values = stored.astype(np.result_type(stored.dtype.newbyteorder("="), np.float32))
        if self.fill_value is not None:
            values[stored == _as_stored(self.fill_value, stored.dtype)] = np.nan
        return values

    def _paths(self, root: str) -> tuple[str, ...]:
        """Returns `root` if it is a file, else the files in it sorted by name."""
        if suffix_of(name_of(root), SUFFIXES) and self._files.exists(root):
            return (root,)
        listing = Listing(root, self._files)
        self.passed_over = listing.passed_over
        ends = lambda name: bool(suffix_of(name, SUFFIXES))  # noqa: E731
        paths = [path for _, path in listing.walk("", ends, stores=STORES)]
        if not paths:
            expected = ", ".join(SUFFIXES)
            raise DataError(f"{root}: no file of fields found; expected {expected}{listing.more}")
        return tuple(paths)

    def _first_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Returns the shapes in the first file that can be read."""
        for path in self.paths[:-1]:
            with suppress(DataError):
                return self._shapes_in(path)
        return self._shapes_in(self.paths[-1])

    def _shapes_in(self, path: str) -> Mapping[str, tuple[int, ...]]:
        if path not in self._shapes:
            self._shapes[path] = self._of(path, lambda file: file.shapes)
        return self._shapes[path]

    def _grid_or_none(self, path: str) -> Grid | None:
        """Returns the grid of a file; None where `shape` will report the error."""
        try:
            return self._grid(path)
        except DataError:
            return None

    def _grid(self, path: str) -> Grid:
        known = self._shapes_in(path)
        for name in self.variables:
            if name not in known:
                hint = did_you_mean(name, list(known))
                raise DataError(f"{path}: no variable {name!r}{hint}; it has {', '.join(known)}")
            if len(known[name]) - self.spatial_dims not in (0, 1):
                expected = "[T, H, W] or [H, W]" if self.spatial_dims == 2 else "[T, H, W, D] or [H, W, D]"
                raise DataError(f"{path}: variable {name} has shape {known[name]}, expected {expected}")
        shapes = {name: known[name] for name in self.variables}
        spaces = {name: shape[len(shape) - self.spatial_dims :] for name, shape in shapes.items()}
        times = {n: shape[:1] for n, shape in shapes.items() if len(shape) > self.spatial_dims}
        _same(path, "grid", spaces)
        _same(path, "number of time steps", times)
        steps = next(iter(times.values()))[0] if times else 1
        return Grid(steps, next(iter(spaces.values())))


def _as_stored(value: float, dtype: np.dtype[Any]) -> Any:
    """Returns `value` rounded as a file of type `dtype` stores it; NaN where it can't be stored."""
    if dtype.kind != "f":
        return value
    with np.errstate(over="ignore"):
        stored = dtype.type(value)
    return stored if np.isfinite(stored) or not np.isfinite(value) else np.nan


def _same(path: str, what: str, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises DataError where variables of one file differ in `what`."""
    first = next(iter(sizes), "")
    for name, size in sizes.items():
        if size != sizes[first]:
            raise DataError(f"{path}: the {what} of {name} is {size}, that of {first} is {sizes[first]}")

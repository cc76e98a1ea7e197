"""Gridded fields: many physical variables on one grid, step by step in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.registry import nearest
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats import SUFFIXES, FieldFile, open_fields
from ucf_vit.data.normalization import Normalization
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources.source import SOURCES, Item, Source


class Grid(NamedTuple):
    """Steps in time of a file, and the shape of its variables at one of them."""

    steps: int
    space: tuple[int, ...]


@SOURCES.register("fields")
class Fields(Source):
    """Variables `[T, H, W]` or `[T, H, W, D]` (or constant in time, without T) in .npz, NetCDF or Zarr files.

    An item is one time step of one file. `variables` are found by name, whatever their order in the file
    (default: all of the first file that have the most axes). Three axes are `[H, W, D]` with `tile_dims` 3,
    else `[T, H, W]`. NaN, `fill_value`, and what a NetCDF or Zarr file declares missing is missing.
    """

    normalization = Normalization("stats")
    missing = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = (),
        fill_value: float | None = None,
        tile_dims: int = 2,
        scratch: Scratch | None = None,
    ) -> None:
        self.paths = _paths(Path(root))
        self.fill_value = fill_value
        self._scratch = scratch or Scratch()
        self._shapes: dict[str, Mapping[str, tuple[int, ...]]] = {}
        first = self._first_shapes()
        axes = max((len(shape) for name, shape in first.items() if name in (variables or first)), default=0)
        self.spatial_dims = min(axes, 3) if axes != 3 else max(2, min(tile_dims, 3))
        self.variables = tuple(variables) or tuple(n for n, shape in first.items() if len(shape) == axes)

    def items(self) -> Sequence[Item]:
        """All time steps of all files, sorted by the file's name, then in time."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            grids = pool.map(self._grid_or_none, self.paths)
            return [
                Item(f"{Path(path).name}[{step}]", path, step=step)
                for path, grid in zip(self.paths, grids, strict=True)
                for step in range(grid.steps if grid else 1)
            ]

    def shape(self, item: Item) -> tuple[int, ...]:
        """`(C, *S)` from the file's header."""
        return (len(self.variables), *self._grid(item.image).space)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """`[C, *region]`, float32 or float64, with NaN where a value is missing."""
        chosen = range(len(self.variables)) if channels is None else channels
        names = tuple(self.variables[channel] for channel in chosen)
        region = region or (slice(None),) * self.spatial_dims
        self._grid(item.image)
        with open_fields(item.image, self._scratch) as file:
            values = [self._values(file, name, item.step, region) for name in names]
        return Sample(np.stack(values), None, names, item.image)

    def _values(self, file: FieldFile, name: str, step: int, region: tuple[slice, ...]) -> NDArray[Any]:
        constant = len(file.shapes[name]) == self.spatial_dims
        stored = file.read(name, region if constant else (step, *region))
        values = stored.astype(np.result_type(stored.dtype.newbyteorder("="), np.float32))
        if self.fill_value is not None:
            exact = stored.dtype.type if stored.dtype.kind == "f" else float
            values[stored == exact(self.fill_value)] = np.nan
        return values

    def _first_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Those of the first file that can be read."""
        for path in self.paths[:-1]:
            with suppress(DataError):
                return self._shapes_in(path)
        return self._shapes_in(self.paths[-1])

    def _shapes_in(self, path: str) -> Mapping[str, tuple[int, ...]]:
        if path not in self._shapes:
            with open_fields(path, self._scratch) as file:
                self._shapes[path] = file.shapes
        return self._shapes[path]

    def _grid_or_none(self, path: str) -> Grid | None:
        """None where `shape` will say what is wrong with the file."""
        try:
            return self._grid(path)
        except DataError:
            return None

    def _grid(self, path: str) -> Grid:
        found = self._shapes_in(path)
        for name in self.variables:
            if name not in found:
                hint = nearest(name, list(found))
                raise DataError(f"{path}: no variable {name!r}{hint}; it has {', '.join(found)}")
            if len(found[name]) - self.spatial_dims not in (0, 1):
                expected = "[T, H, W] or [H, W]" if self.spatial_dims == 2 else "[T, H, W, D] or [H, W, D]"
                raise DataError(f"{path}: variable {name} has shape {found[name]}, expected {expected}")
        shapes = {name: found[name] for name in self.variables}
        spaces = {name: shape[len(shape) - self.spatial_dims :] for name, shape in shapes.items()}
        times = {n: shape[:1] for n, shape in shapes.items() if len(shape) > self.spatial_dims}
        _same(path, "grid", spaces)
        _same(path, "number of time steps", times)
        steps = next(iter(times.values()))[0] if times else 1
        return Grid(steps, next(iter(spaces.values())))


def _same(path: str, what: str, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """DataError where variables of one file differ."""
    first = next(iter(sizes), "")
    for name, size in sizes.items():
        if size != sizes[first]:
            raise DataError(f"{path}: the {what} of {name} is {size}, that of {first} is {sizes[first]}")


def _paths(root: Path) -> tuple[str, ...]:
    """The file `root`, or the files in it, sorted by name; hidden files are passed over."""
    if root.suffix in SUFFIXES and root.exists():
        return (str(root),)
    if not root.is_dir():
        raise DataError(f"{root}: no such directory")
    found = sorted(p.name for p in root.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise DataError(f"{root}: no file of fields there; expected {', '.join(SUFFIXES)}")
    return tuple(str(root / name) for name in found)

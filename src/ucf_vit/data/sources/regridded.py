"""A source whose items are used on another grid: turned, cropped and resampled once per item."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.named_arrays import map_named, save_named
from ucf_vit.data.geometry.crop import foreground_box
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Box, Regrid, regrid
from ucf_vit.data.sources.item_keys import ItemKeys
from ucf_vit.data.sources.regrid_sample import resampled, turned
from ucf_vit.data.sources.source import Item, Source, value_options
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch

VERSION = 1
"""Increased when the same files give other values."""
_OPEN, _HELD = 32, 2
"""Number of items that stay open as memory maps, and in memory where there is no room for scratch files."""
_KNOWN = 10_000
_MUCH = 64
"""Change in the number of voxels beyond which a header is probably wrong."""
Arrays = Mapping[str, NDArray[Any]]


class Regridded(Source):
    """The items of `inner` on the grid of `options`.

    Shapes and grids come from headers only, so that tiles are planned without reading a value; the box of
    `crop` is measured once per item and kept in the scratch directory. Items that are only turned or cropped
    are read as views, region by region. Others are resampled once per item and machine into the scratch
    directory, and then memory-mapped. `value_options` are those of `inner`.
    """

    variables = ()
    spatial_dims = 3

    def __init__(
        self,
        inner: Source,
        options: GridOptions,
        scratch: Scratch,
        files: Files,
        value_options: Mapping[str, Any],
    ) -> None:
        self.inner = inner
        self.options = options
        for name in Source.__annotations__:
            setattr(self, name, getattr(inner, name))
        self.root = getattr(inner, "root", None)
        self._scratch, self._files = scratch, files
        self._keys = ItemKeys(inner, {**value_options, **options.values}, files)
        self._grids: dict[tuple[str, int], Regrid] = {}
        self._remarks: dict[str, str] = {}
        self._open: OrderedDict[tuple[str, int, bool], Arrays] = OrderedDict()

    def items(self) -> Sequence[Item]:
        """Returns the items of the inner source."""
        items = self.inner.items()
        self.passed_over = getattr(self.inner, "passed_over", None)
        return items

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *T)`, from headers only unless items are cropped. Raises DataError."""
        channels, *_ = self.inner.shape(item)
        return (channels, *self.grid(item).shape)

    def geometry(self, item: Item) -> Geometry:
        """Returns the grid on which the item is used."""
        return self.grid(item).geometry

    def parts(self, item: Item) -> Sequence[str]:
        """Returns the files of the inner source."""
        return self.inner.parts(item)

    def remarks(self) -> Sequence[str]:
        """Returns those of the inner source, and each contradiction in headers with the number of items."""
        counts: dict[str, list[str]] = {}
        for file, remark in sorted(self._remarks.items()):
            counts.setdefault(remark, []).append(file)
        return [
            *self.inner.remarks(),
            *(f"{len(files)} item(s), the first {files[0]}: {remark}" for remark, files in counts.items()),
        ]

    def grid(self, item: Item) -> Regrid:
        """Returns how the item's grid is changed. Raises DataError where its header does not place it."""
        key = item.key, item.step
        known = self._grids.get(key)
        if known is None:
            if len(self._grids) >= _KNOWN:
                self._grids.clear()
            known = self._grids[key] = self._grid(item)
        return known

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns the voxels of `region` on the new grid; resampled images are float32."""
        grid = self.grid(item)
        region = region or (slice(None),) * len(grid.shape)
        if not grid.resamples:
            sample = self.inner.read(item, grid.stored_region(region), channels)
            return turned(sample, grid, self.arrays)
        chosen = list(range(len(self.variables)) if channels is None else channels)
        arrays = self._resampled(item, grid)
        image = _part(arrays["image"], region)
        in_order = chosen == list(range(chosen[0], chosen[0] + len(chosen)))
        extra = {
            name: _part(arrays[name], region) if spec.on_grid else arrays[name]
            for name, spec in self.arrays.items()
        }
        label = arrays.get("label")
        return Sample(
            image[chosen[0] : chosen[0] + len(chosen)] if in_order else image[chosen],
            label if label is None or not label.ndim else label[region],
            tuple(self.variables[c] for c in chosen),
            item.image,
            extra,
        )

    def _grid(self, item: Item) -> Regrid:
        stored = self.inner.geometry(item)
        if stored is None:
            if self.options.needs_geometry:
                raise DataError(
                    f"{item.image}: its source knows no position in space and no spacing; set "
                    "data.orientation and data.spacing to as_stored"
                )
            stored = Geometry(tuple(self.inner.shape(item)[1:]), np.eye(4))
        for remark in stored.remarks:
            self._remarks[item.image] = remark
        grid = regrid(stored, self.options, self._box(item))
        change = math.prod(grid.shape) / math.prod(grid.sides)
        if not 1 / _MUCH <= change <= _MUCH:
            size = f"more than {_MUCH} times" if change > 1 else f"less than 1/{_MUCH} of"
            self._remarks[item.image] = (
                f"with data.spacing it has {size} its voxels; is the spacing in its header right, in mm?"
            )
        return grid

    def _box(self, item: Item) -> Box | None:
        """Returns the box that is kept, along the stored axes; measured once per item and machine."""
        if self.options.crop == "none":
            return None
        measured: list[Box] = []

        def measure() -> Box:
            measured.append(foreground_box(self.inner.read(item).image, self.options.crop))
            return measured[0]

        def make(path: Path) -> None:
            with path.open("wb") as stream:
                np.save(stream, np.array(measure(), np.int64))

        key = self._keys.of(item)
        path = None if key is None else self._scratch.file(make, 256, ".npy", "box", VERSION, *key)
        if path is not None and not measured:
            with suppress(FileNotFoundError):  # another process may have needed the room
                return tuple((int(start), int(stop)) for start, stop in np.load(path))
        return measured[0] if measured else measure()

    def _resampled(self, item: Item, grid: Regrid) -> Arrays:
        place = item.key, item.step, item.label is None
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        arrays = self._open[place] = self._shared(item, grid)
        held = [one for one, other in self._open.items() if not isinstance(other["image"], np.memmap)]
        for one in {*held[:-_HELD], *list(self._open)[:-_OPEN]}:
            del self._open[one]
        return arrays

    def _shared(self, item: Item, grid: Regrid) -> Arrays:
        """Returns memory maps of the resampled arrays, or the arrays where they can't be kept."""
        key, size = self._keys.of(item), 4 * len(self.variables) * math.prod(grid.shape)
        self._files.check_size(item.image, max(size, 4 * len(self.variables) * math.prod(grid.sides)))

        def make(path: Path) -> None:
            save_named(path, self._make(item, grid))

        while key is not None:
            path = self._scratch.file(make, size + 8 * math.prod(grid.shape), ".grid", "grid", VERSION, *key)
            if path is None:
                break
            with suppress(FileNotFoundError):  # another process may have needed the room
                return map_named(path)
        return self._make(item, grid)

    def _make(self, item: Item, grid: Regrid) -> Arrays:
        whole = tuple(slice(0, side) for side in grid.sides)
        sample = self.inner.read(item, grid.stored_region(whole))
        return resampled(turned(sample, grid, self.arrays), grid, self.arrays)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _part(array: NDArray[Any], region: tuple[slice, ...]) -> NDArray[Any]:
    return array[(slice(None),) * (array.ndim - len(region)) + region]


def on_grid(
    source: Source, options: GridOptions, scratch: Scratch, files: Files, arguments: Mapping[str, Any]
) -> Source:
    """Returns the source, made with `arguments`, with its items on the grid of `options`.

    It is the source itself where items are used as stored, or were prepared with the same options. Raises
    DataError where they were prepared with other ones, since they would be resampled twice.
    """
    if options.as_stored:
        return source
    had = GridOptions.of(source.made_with or {})
    if had.fulfil(options):
        return source
    if not had.as_stored:
        raise DataError(
            f"{getattr(source, 'root', '')}: was prepared with {had.values}, requested are {options.values}; "
            "prepare it again from the stored data, or use the same options"
        )
    given = value_options(arguments) if source.made_with is None else source.made_with
    return Regridded(source, options, scratch, files, given)

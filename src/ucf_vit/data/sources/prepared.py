"""Data sets written by `ucf-vit prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.formats.prepared.manifest import PACKS, UNFINISHED, Manifest, Pack
from ucf_vit.data.formats.prepared.sharded_array import ShardedArray, ShardReader
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.sources.source import Item, Source, value_options
from ucf_vit.data.storage import Files, MissingError, join


class Prepared(Source):
    """Items of another source, bit for bit, in chunks: reading a tile reads and checks only the chunks it
    touches.

    Names, strata, classes, groups, splits and normalization are those of the other source. `variables` are
    some of the prepared ones, in any order (default: all). Options of the other source may be repeated, and
    have to be those that it was prepared with. An item's file is the first of its shards, `step` its row
    there.
    """

    by_name = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = (),
        resize: Sequence[int] | None = None,
        fill_value: float | None = None,
        files: Files | None = None,
        **options: Any,
    ) -> None:
        self.root = str(root)
        files = files or Files()
        self.manifest = load(self.root, files)
        about = self.manifest
        if about.folder != PACKS:
            raise DataError(f"{self.root}: was prepared as .npy files; set data.dataset: npy_pairs")
        for name, given in {"resize": resize, "fill_value": fill_value, **value_options(options)}.items():
            _check_option(self.root, name, given, about)
        self.variables = tuple(variables) or about.variables
        self._stored_channels = tuple(self._channel(name) for name in self.variables)
        self.spatial_dims, self.missing = about.spatial_dims, about.missing
        self.class_names = about.class_names
        self.normalization = about.normalization
        self.made_with = about.options
        self._reader = ShardReader(files.parts)
        self._packs: dict[str, tuple[Pack, ShardedArray, ShardedArray | None]] = {}
        self._items = self._listed()
        self._grids = dict(zip(about.keys, about.grids, strict=False))

    def items(self) -> Sequence[Item]:
        """Returns all items, in the order of the original source."""
        return self._items

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns the shape `(C, *S)` that the original source gave."""
        return self._packs[item.image][0].shape

    def geometry(self, item: Item) -> Geometry | None:
        """Returns the grid on which the item was prepared."""
        grid = self.grid(item)
        return None if grid is None else grid.geometry

    def grid(self, item: Item) -> Regrid | None:
        """Returns how the grid of the original was changed when it was prepared; None where it had none."""
        entry = self._grids.get(item.key)
        return None if entry is None else Regrid.load(entry)

    def parts(self, item: Item) -> Sequence[str]:
        """Returns the manifest, which contains the hashes of all shards."""
        return [join(self.root, manifest.FILE)]

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` and `[*region]`, of the types that were stored."""
        pack, image, label = self._packs[item.image]
        space = pack.shape[1:]
        box = [
            part.indices(size)[:2]
            for part, size in zip(region or (slice(None),) * len(space), space, strict=True)
        ]
        chosen = tuple(range(len(self.variables)) if channels is None else channels)
        names = tuple(self.variables[channel] for channel in chosen)
        try:
            values = self._channels(image, item.step, [self._stored_channels[c] for c in chosen], box)
            if item.label is not None and label is not None:
                return Sample(values, self._box(label, item.step, (), box)[0], names, item.image)
        except DataError as error:
            raise DataError(
                f"{error} (item {item.key}); check all with: ucf-vit prepare --verify {self.root}"
            ) from error
        kind = None if item.class_index is None else np.asarray(item.class_index, np.int64)
        return Sample(values, kind, names, item.image)

    def _channels(
        self, array: ShardedArray, row: int, channels: Sequence[int], box: Sequence[tuple[int, int]]
    ) -> NDArray[Any]:
        """Returns channels of a box; consecutive ones are read together."""
        first, last = channels[0], channels[-1]
        if list(channels) == list(range(first, last + 1)):
            return self._box(array, row, ((first, last + 1),), box)[0]
        return np.concatenate([self._box(array, row, ((c, c + 1),), box)[0] for c in channels])

    def _box(
        self,
        array: ShardedArray,
        row: int,
        ahead: tuple[tuple[int, int], ...],
        box: Sequence[tuple[int, int]],
    ) -> NDArray[Any]:
        start, stop = zip((row, row + 1), *ahead, *box, strict=True)
        return self._reader.read(array, start, stop)

    def _channel(self, name: str) -> int:
        known = self.manifest.variables
        if name not in known:
            raise DataError(
                f"{self.root}: no variable {name!r}{did_you_mean(name, list(known))}; it was prepared with "
                + ", ".join(known)
            )
        return known.index(name)

    def _listed(self) -> list[Item]:
        about = self.manifest
        items: list[Item | None] = [None] * len(about.keys)
        for pack in about.packs:
            folder = join(self.root, PACKS, pack.name)
            image = ShardedArray.of(pack, "image", folder)
            label = None if pack.label_dtype is None else ShardedArray.of(pack, "label", folder)
            self._packs[image.paths[0]] = pack, image, label
            for row, number in enumerate(pack.items):
                items[number] = Item(
                    about.keys[number],
                    image.paths[0],
                    None if label is None else label.paths[0],
                    about.strata[about.stratum[number]],
                    about.classes[number] if about.classes else None,
                    row,
                    about.groups[number] if about.groups else "",
                    about.splits[number] if about.splits else "",
                )
        if None in items:
            raise DataError(
                f"{self.root}/{manifest.FILE}: item {about.keys[items.index(None)]} is in no pack"
            )
        return [item for item in items if item is not None]


def load(root: str, files: Files | None = None) -> Manifest:
    """Returns the manifest of the data set in `root`. Raises DataError."""
    files, file = files or Files(), join(root, manifest.FILE)
    try:
        return manifest.parse(files.using(file, Path.read_bytes), file)
    except (FileNotFoundError, NotADirectoryError, MissingError) as error:
        if files.exists(join(root, UNFINISHED)):
            raise DataError(f"{root}: not finished; run the ucf-vit prepare command again") from error
        raise DataError(
            f"{root}: no {manifest.FILE} found; expected a directory written by ucf-vit prepare"
        ) from error
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror or error})") from error


def _check_option(root: str, name: str, given: object, about: Manifest) -> None:
    """Raises DataError where an option that changed the stored values differs from when preparing."""
    had = about.options.get(name)
    same = had == (list(given) if isinstance(given, (tuple, list)) else given)
    if given is not None and not same:
        raise DataError(
            f"{root}: {name} {given} was requested, the data was prepared with {had}; prepare it again"
        )

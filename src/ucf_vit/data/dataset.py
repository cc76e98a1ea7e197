"""One data set of a run: its items, their tiles, and how tiles become arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.batch import Skipped
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.sources import SOURCES, Item, Source, value_options
from ucf_vit.data.sources.regridded import on_grid
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.patching.tiles import Tiling


@dataclass(frozen=True)
class Dataset:
    """Items of a source with their tiles; tile numbers run over the items in order.

    `listed` describes all files of the source, including those that were passed over. `channels` are the
    numbers of the source's channels that are used. `slices` is true where a tile is a 2D slice of a volume.
    `class_names` are the names of the classes of whole items, by number. `origin` (name and options of the
    source) makes the source again in another process. `grid` is the grid on which items are used, if it is
    not the stored one.
    """

    name: str
    source: Source
    items: tuple[Item, ...]
    tilings: tuple[Tiling, ...]
    tile_size: tuple[int, ...]
    channels: tuple[int, ...]
    normalization: Normalization
    scratch: Scratch
    files: Files = field(default_factory=Files)
    class_names: tuple[str, ...] = ()
    slices: bool = False
    label_map: LabelMap = field(default_factory=lambda: LabelMap({}))
    num_classes: int | None = None
    buffer_size: int = 0
    skipped: tuple[Skipped, ...] = ()
    origin: tuple[str, Mapping[str, Any]] | None = None
    listed: str = ""
    grid: GridOptions = field(default_factory=GridOptions)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the channels used, in order."""
        return tuple(self.source.variables[c] for c in self.channels)

    @property
    def value_options(self) -> Mapping[str, Any]:
        """Options that change the values of the source, as they come back from JSON."""
        given = {} if self.origin is None else value_options(self.origin[1])
        made_with = self.source.made_with
        options = {**(given if made_with is None else made_with), **self.grid.values}
        return dict(json.loads(json.dumps(options, default=repr)))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of tiles of each item, `[N]`."""
        return np.fromiter(map(len, self.tilings), np.int64, len(self.tilings))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """End of each item's range of tile numbers, exclusive, `[N]`."""
        return np.cumsum(self.counts)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.items) else 0

    def locate(self, tile: int) -> tuple[int, int]:
        """Returns the index of the item that contains tile number `tile`, and the tile's number within the
        item.
        """
        item = int(np.searchsorted(self.ends, tile, side="right"))
        return item, int(tile - self.ends[item] + self.counts[item])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **({} if self.origin is None else {"source": None})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.origin is not None:
            name, options = self.origin
            source = SOURCES[name](**options)
            self.__dict__["source"] = on_grid(source, self.grid, self.scratch, self.files, options)

"""One data set of a run: the items of its range, how they are cut into tiles, how a tile becomes an array."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.batch import Skipped
from ucf_vit.data.sources import Item, Source, source_of, value_options
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.patching.tiles import Tiling


@dataclass(frozen=True)
class Dataset:
    """Items of a source with their tiles; tile numbers run over the items in order.

    `listed` says what of the data set belongs to it, in all its ranges, and what was passed over.
    `channels` are those used of the source's; `slices` says that a tile is a 2D slice of a volume;
    `class_names` are those of the numbers that whole items have. `origin` (name and options) makes the source
    anew in another process.
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

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the channels used, in order."""
        return tuple(self.source.variables[c] for c in self.channels)

    @property
    def value_options(self) -> Mapping[str, Any]:
        """Options that change the values of the source, as JSON writes and reads them."""
        given = {} if self.origin is None else value_options(self.origin[1])
        made_with = self.source.made_with
        options = given if made_with is None else made_with
        return dict(json.loads(json.dumps(options, default=repr)))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Tiles of each item, `[N]`."""
        return np.fromiter(map(len, self.tilings), np.int64, len(self.tilings))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Number after the last tile of each item, `[N]`."""
        return np.cumsum(self.counts)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.items) else 0

    def locate(self, tile: int) -> tuple[int, int]:
        """Index of the item that tile number `tile` lies in, and the tile's number within it."""
        item = int(np.searchsorted(self.ends, tile, side="right"))
        return item, int(tile - self.ends[item] + self.counts[item])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **({} if self.origin is None else {"source": None})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.origin is not None:
            name, options = self.origin
            self.__dict__["source"] = source_of(name)(**options)

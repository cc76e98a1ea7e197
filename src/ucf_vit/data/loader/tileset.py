"""Fills the tensors of a batch with the tiles of a request; this runs in the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Skipped
from ucf_vit.data.loader import batch_trees
from ucf_vit.data.loader.shared_memory import BatchLayout, Tensors
from ucf_vit.data.loader.tile_reader import Arrays, TileReader
from ucf_vit.data.order.epoch_order import EpochOrder, Request
from ucf_vit.patching.tree.patcher import AdaptivePatcher


@dataclass(frozen=True)
class Filled:
    """Description of a batch that was filled; its tensors are in slot number `slot` if a worker filled them.

    `keys` and `items` (numbers in the data set) have one entry per filled row; `rows` were requested.
    `per_rank` and `counts` are copied from the request. `error` is the message of an error that the main
    process has to raise.
    """

    group: int
    rows: int
    keys: NDArray[np.int64]
    items: tuple[int, ...]
    skipped: tuple[Skipped, ...] = ()
    slot: int = 0
    error: str | None = None
    per_rank: float | None = None
    counts: bool = True


class TileSet:
    """Fills a request's tensors from the files. Every worker has a copy.

    With `skip`, an unreadable tile is replaced by the first readable one of the order's replacements (without
    shuffling its row stays empty). `patcher` grows the trees of adaptive patching; their random parameters
    depend on the tile's key, or have their middle values with `draw_trees` false.
    """

    def __init__(
        self,
        readers: Sequence[TileReader],
        order: EpochOrder[Any],
        skip: bool,
        patcher: AdaptivePatcher | None = None,
        draw_trees: bool = True,
    ) -> None:
        self.readers = list(readers)
        self._names = [tuple(reader.layout.parts) for reader in readers]
        self.order = order
        self.skip = skip
        self.patcher = patcher
        self.draw_trees = draw_trees

    @property
    def layouts(self) -> list[BatchLayout]:
        """Layout of the batches of each group."""
        layouts = [reader.layout for reader in self.readers]
        if self.patcher is None:
            return layouts
        return [
            BatchLayout({**layout.parts, **batch_trees.parts(self.patcher, len(reader.channels))})
            for layout, reader in zip(layouts, self.readers, strict=True)
        ]

    def fill(
        self,
        request: Request,
        tensors: Tensors,
        slot: int = 0,
        before: Callable[[int], None] = lambda tile: None,
    ) -> Filled:
        """Reads the request's tiles into `tensors`; rows without a readable tile remain unused at the end.

        `before` is called with each tile before it is read.
        """
        arrays = {name: tensors[name].numpy() for name in self._names[request.group]}
        items: list[int] = []
        keys: list[int] = []
        skipped: dict[str, str] = {}
        try:
            for turn in range(len(request.tiles)):
                row = len(items)
                before(int(request.tiles[turn]))
                out = {name: array[row, ...] for name, array in arrays.items()}
                filled = self._fill_row(request, turn, out, skipped)
                if filled is not None:
                    items.append(filled[0])
                    keys.append(filled[1])
            if self.patcher is not None and items:
                batch_trees.grow(
                    self.patcher, tensors, len(keys), torch.tensor(keys) if self.draw_trees else None
                )
            error = None
        except UserError as failure:
            error = str(failure)
        return Filled(
            group=request.group,
            rows=len(request.tiles),
            keys=np.asarray(keys, np.int64),
            items=tuple(items),
            skipped=tuple(Skipped(file, cause) for file, cause in skipped.items()),
            slot=slot,
            error=error,
            per_rank=request.per_rank,
            counts=request.counts,
        )

    def _fill_row(
        self, request: Request, turn: int, out: Arrays, skipped: dict[str, str]
    ) -> tuple[int, int] | None:
        """Returns item and key of the tile that was read for row `turn`; None where the row stays empty."""
        reader = self.readers[request.group]
        for tile, key in self._candidates(request, turn):
            try:
                return reader.read(tile, key, out), key
            except DataError as error:
                if not self.skip:
                    raise
                skipped[reader.file(tile)] = str(error)
        if self.order.shuffle:
            name = self.order.groups[request.group].name
            raise DataError(f"{name}: no readable item is left ({next(iter(skipped.values()))})")
        return None

    def _candidates(self, request: Request, turn: int) -> Iterator[tuple[int, int]]:
        """Yields tile and key of the request, then those of its replacements."""
        yield int(request.tiles[turn]), int(request.keys[turn])
        if self.skip:
            yield from self.order.replacements(request, turn)

"""From a request (which tiles) to filled tensors: what a worker does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Skipped
from ucf_vit.data.loader import batch_trees
from ucf_vit.data.loader.shared_memory import BatchLayout, Tensors
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.order.epoch_order import Order, Request
from ucf_vit.data.order.rank_order import RankOrder
from ucf_vit.patching.tree.patcher import AdaptivePatcher


@dataclass(frozen=True)
class Filled:
    """What goes with the tensors of a batch; they lie in slot number `slot` if a worker filled them.

    `keys` and `files` have an entry per row that was filled, of `rows` that were asked for. `per_rank` and
    `counts` are those of the request. `error` is the message of what went wrong on its way to the main
    process.
    """

    group: int
    rows: int
    keys: NDArray[np.int64]
    files: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    slot: int = 0
    error: str | None = None
    per_rank: float | None = None
    counts: bool = True


class TileSet:
    """Fills a request's tensors from the files. Held by every worker.

    With `skip`, an unreadable tile's place is taken by the next readable one among its `stand_ins`
    (without shuffling the place stays empty). `patcher` grows the trees of adaptive patching here; what is
    drawn for them depends on the tile's key, or is the middle of its range with `draw_trees` false.
    """

    def __init__(
        self,
        readers: Sequence[TileReader],
        order: Order | RankOrder,
        skip: bool,
        patcher: AdaptivePatcher | None = None,
        draw_trees: bool = True,
    ) -> None:
        self.readers = list(readers)
        self.order = order
        self.skip = skip
        self.patcher = patcher
        self.draw_trees = draw_trees

    @property
    def layouts(self) -> list[BatchLayout]:
        """What the batches of each group are made of."""
        found = [reader.layout for reader in self.readers]
        if self.patcher is None:
            return found
        return [
            BatchLayout({**layout.parts, **batch_trees.parts(self.patcher, len(reader.channels))})
            for layout, reader in zip(found, self.readers, strict=True)
        ]

    def fill(
        self,
        request: Request,
        tensors: Tensors,
        slot: int = 0,
        before: Callable[[int], None] = lambda tile: None,
    ) -> Filled:
        """Read the request's tiles into `tensors`; rows without a readable tile are left over at the end.

        `before` is called with each of them.
        """
        image, label = tensors["image"].numpy(), tensors["label"].numpy() if "label" in tensors else None
        files: list[str] = []
        keys: list[int] = []
        skipped: dict[str, str] = {}
        try:
            for turn in range(len(request.tiles)):
                row = len(files)
                before(int(request.tiles[turn]))
                into = image[row], None if label is None else label[row, ...]
                found = self._fill_row(request, turn, *into, skipped)
                if found is not None:
                    files.append(found[0])
                    keys.append(found[1])
            if self.patcher is not None and files:
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
            files=tuple(files),
            skipped=tuple(Skipped(file, cause) for file, cause in skipped.items()),
            slot=slot,
            error=error,
            per_rank=request.per_rank,
            counts=request.counts,
        )

    def _fill_row(
        self,
        request: Request,
        turn: int,
        image: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        skipped: dict[str, str],
    ) -> tuple[str, int] | None:
        """File and key of the tile that was read in turn `turn`; None where its place stays empty."""
        reader = self.readers[request.group]
        for tile, key in self._candidates(request, turn):
            try:
                return reader.read(tile, key, image, label), key
            except DataError as error:
                if not self.skip:
                    raise
                skipped[reader.file(tile)] = str(error)
        if self.order.shuffle:
            name = self.order.groups[request.group].name
            raise DataError(f"{name}: not one readable item is left ({next(iter(skipped.values()))})")
        return None

    def _candidates(self, request: Request, turn: int) -> Iterator[tuple[int, int]]:
        """Tile and key that belong in the place, then those that may stand in for it."""
        yield int(request.tiles[turn]), int(request.keys[turn])
        if self.skip:
            yield from self.order.stand_ins(request, turn)

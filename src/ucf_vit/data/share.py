"""The tiles of one rank, and the order in which it passes over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.seeds import seed_of
from ucf_vit.data.order import Group, mixed

Tiles = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Share:
    """`tiles` `[n]` of each group, ascending, that a rank reads in batches of `batch_size`, pass after pass.

    In a pass over a group every tile comes once, in a new order; passes follow each other without a gap, also
    within a batch. A batch is of one group; groups take turns at random, in rounds in which each has as many
    as a pass over it needs. `key` is what all that is random depends on.
    """

    groups: Sequence[Group]
    tiles: Sequence[Tiles]
    batch_size: int
    key: tuple[int, ...]

    @cached_property
    def batches(self) -> list[int]:
        """Batches of each group in a round."""
        return [-(-len(tiles) // self.batch_size) for tiles in self.tiles]

    def batch(self, step: int) -> tuple[int, Tiles, Tiles]:
        """Group, tiles `[b]` and the number of the pass of each `[b]`, of batch number `step`."""
        number, turn = divmod(step, sum(self.batches))
        group, nth = _turns(self, number)[turn].tolist()
        first = (number * self.batches[group] + nth) * self.batch_size
        passes, places = np.divmod(np.arange(first, first + self.batch_size), len(self.tiles[group]))
        parts = [_order(self, group, p)[places[passes == p]] for p in range(passes[0], passes[-1] + 1)]
        return group, np.concatenate(parts), passes

    def seen(self, steps: int) -> list[Tiles]:
        """The tiles of each group that come in the first `steps` batches."""
        if steps >= sum(self.batches):
            return list(self.tiles)
        done = np.bincount(_turns(self, 0)[:steps, 0], minlength=len(self.groups)).tolist()
        return [_order(self, group, 0)[: count * self.batch_size] for group, count in enumerate(done)]

    def random(self, purpose: str, *key: int | str) -> np.random.Generator:
        """A stream of random numbers of this share's own."""
        return np.random.Generator(np.random.PCG64(seed_of(*self.key, purpose, *key)))


@lru_cache(maxsize=4)
def _turns(share: Share, number: int) -> NDArray[np.int64]:
    """`[batches, 2]`: group, and number of the batch within it, of each batch of round `number`."""
    turns = share.random("turns", number).permutation(np.repeat(np.arange(len(share.batches)), share.batches))
    nth = np.empty_like(turns)
    for group, count in enumerate(share.batches):
        nth[turns == group] = np.arange(count)
    return np.stack([turns, nth], axis=1)


@lru_cache(maxsize=1024)
def _order(share: Share, group: int, number: int) -> Tiles:
    """The tiles of a group in the order of pass `number`, shuffled as `mixed` says."""
    tiles, known = share.tiles[group], share.groups[group]
    _, counts = np.unique(np.searchsorted(known.ends, tiles, side="right"), return_counts=True)
    return tiles[mixed(counts, known.buffer, share.random("tiles", known.name, number))]

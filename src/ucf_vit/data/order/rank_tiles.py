"""Tiles of one rank, and the order in which it passes over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.seeds import seed_of
from ucf_vit.data.order.epoch_order import Group
from ucf_vit.data.order.shuffling import shuffle

Tiles = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RankTiles:
    """`tiles` `[n]` of each group, ascending, that a rank reads in batches of `batch_size`, pass after pass.

    A pass over a group contains every tile once, in a new order; passes follow each other without a gap, also
    within a batch. A batch is of one group; groups take turns at random, in rounds in which each group has as
    many batches as a pass over it needs. `key` seeds everything that is random.

    Batches should be requested one after the other: orders are cached from one to the next.
    """

    groups: Sequence[Group]
    tiles: Sequence[Tiles]
    batch_size: int
    key: tuple[int, ...]
    _orders: dict[int, dict[int, Tiles]] = field(default_factory=dict, init=False, repr=False)
    _turns: dict[int, Tiles] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def batches(self) -> list[int]:
        """Batches of each group in a round."""
        return [-(-len(tiles) // self.batch_size) for tiles in self.tiles]

    def batch(self, step: int) -> tuple[int, Tiles, Tiles]:
        """Returns group, tiles `[b]` and the number of the pass of each `[b]`, of batch number `step`."""
        number, turn = divmod(step, sum(self.batches))
        group, nth = self._turns_of(number)[turn].tolist()
        first = (number * self.batches[group] + nth) * self.batch_size
        passes, places = np.divmod(np.arange(first, first + self.batch_size), len(self.tiles[group]))
        orders = self._orders_of(group, range(passes[0], passes[-1] + 1))
        return group, np.concatenate([order[places[passes == p]] for p, order in orders.items()]), passes

    def seen(self, steps: int) -> list[Tiles]:
        """Returns the tiles of each group in the first `steps` batches."""
        if steps >= sum(self.batches):
            return list(self.tiles)
        done = np.bincount(self._turns_of(0)[:steps, 0], minlength=len(self.groups)).tolist()
        return [
            self._orders_of(group, range(1))[0][: count * self.batch_size] for group, count in enumerate(done)
        ]

    def random(self, purpose: str, *key: int | str) -> np.random.Generator:
        """Returns a random generator for one purpose of this rank."""
        return np.random.Generator(np.random.PCG64(seed_of(*self.key, purpose, *key)))

    def _turns_of(self, number: int) -> NDArray[np.int64]:
        """Returns `[batches, 2]`: group, and number within the group, of each batch of round `number`."""
        if number not in self._turns:
            self._turns.clear()
            turns = np.repeat(np.arange(len(self.batches)), self.batches)
            turns = self.random("turns", number).permutation(turns)
            nth = np.empty_like(turns)
            for group, count in enumerate(self.batches):
                nth[turns == group] = np.arange(count)
            self._turns[number] = np.stack([turns, nth], axis=1)
        return self._turns[number]

    def _orders_of(self, group: int, passes: range) -> dict[int, Tiles]:
        """Returns the tiles of a group in the order of each of `passes`; these orders are cached."""
        cached = self._orders.get(group, {})
        self._orders[group] = {p: cached[p] if p in cached else self._order(group, p) for p in passes}
        return self._orders[group]

    def _order(self, group: int, number: int) -> Tiles:
        """Returns the tiles of a group in the order of pass `number`, see `shuffle`."""
        tiles, known = self.tiles[group], self.groups[group]
        _, counts = np.unique(np.searchsorted(known.ends, tiles, side="right"), return_counts=True)
        return tiles[shuffle(counts, known.buffer, self.random("tiles", known.name, number))]

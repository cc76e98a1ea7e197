"""The order of an epoch: integers only, a pure function of (seed, epoch) and of where it was taken up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.seeds import seed_of


class Request(NamedTuple):
    """One rank's batch: `tiles` `[b]` of group number `group`; `keys` `[b]` is one random number per tile.

    `per_rank` is the mean of b over all ranks (None: all have as many). A rank for which there is no tile
    gets one of another rank, which does not count here: then `counts` is false.
    """

    epoch: int
    group: int
    tiles: NDArray[np.int64]
    keys: NDArray[np.int64]
    per_rank: float | None = None
    counts: bool = True


Taken = tuple[int, ...]
"""How far an epoch is: of each group, the places of its order that were read, from the first on."""


@dataclass(frozen=True, eq=False)
class Group:
    """Tiles that may share a batch: those of one data set (and one variable when `single_channel`).

    `counts` `[N]` holds the tiles of each file; `buffer` the shuffle buffer's size in tiles.
    """

    dataset: str
    name: str
    counts: NDArray[np.int64]
    buffer: int = 0

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Number after the last tile of each file, `[N]`."""
        return np.cumsum(self.counts)

    @property
    def size(self) -> int:
        """Tiles in the group."""
        return int(self.ends[-1]) if len(self.ends) else 0


def shuffled(group: Group, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the group's tile numbers in the order of `epoch`, `mixed`."""
    rng = np.random.Generator(np.random.PCG64(seed_of(seed, "order", group.name, epoch)))
    return mixed(group.counts, group.buffer, rng)


def mixed(counts: NDArray[np.int64], buffer: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns a random order `[sum(counts)]` of tiles, of which each file has `counts` `[N]`.

    Files are permuted, tiles are permuted within their file, then each tile's position moves back by a
    uniform draw below `buffer`: what a shuffle buffer of that size does, without one.
    """
    size = int(counts.sum())
    ranks = np.empty(len(counts))
    ranks[rng.permutation(len(counts))] = np.arange(len(counts))
    tiles = np.argsort(np.repeat(ranks, counts) + rng.random(size), kind="stable")
    if buffer < 2:
        return tiles
    return tiles[np.argsort(np.arange(size) + rng.random(size) * buffer, kind="stable")]


def sample_keys(seed: int, name: str, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns one non-negative random key per tile, a function of (seed, group, epoch, tile).

    It is the splitmix64 generator (Steele et al. 2014) at the tile's number.
    """
    with np.errstate(over="ignore"):
        z = tiles.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            seed_of(seed, "key", name, epoch)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Order:
    """Which tiles make which batch, for rank `rank` of `ranks`.

    With `shuffle`, every rank takes its slice of the same global batches of `batch_size * ranks` tiles; of a
    group's last batch, which may be smaller, slices differ by at most one tile, and some may be empty.
    Without, the order is that of the files in every epoch, and each rank takes a share of every group that
    differs by at most one tile. In both an epoch has every tile once.

    A shuffled epoch can go on with other ranks or batches: `taken_up`. The batches of what is left are a
    function of seed, epoch and what was `Taken`.
    """

    groups: Sequence[Group]
    batch_size: int
    seed: int
    rank: int = 0
    ranks: int = 1
    shuffle: bool = True
    _orders: dict[int, tuple[int, NDArray[np.int64]]] = field(default_factory=dict, init=False, repr=False)

    @property
    def global_batch(self) -> int:
        """Tiles in a batch over all ranks."""
        return self.batch_size * self.ranks

    def __len__(self) -> int:
        return sum(map(self.batches, range(len(self.groups))))

    @property
    def whole(self) -> Taken:
        """A whole epoch: nothing is taken."""
        return (0,) * len(self.groups)

    def batches(self, group: int, taken: Taken | None = None) -> int:
        """Returns batches of a group in an epoch, or in what is left of it."""
        if not self.shuffle:
            return -(-len(self._in_order(group)) // self.batch_size)
        left = self.groups[group].size - (taken or self.whole)[group]
        return -(-left // self.global_batch)

    def schedule(self, epoch: int, taken: Taken | None = None) -> NDArray[np.int64]:
        """Returns `[batches, 2]`: group, and number of the batch within it, of each batch of the epoch."""
        counts = [self.batches(group, taken) for group in range(len(self.groups))]
        turns = np.repeat(np.arange(len(counts)), counts)
        if self.shuffle:
            key = taken if taken is not None and any(taken) else ()
            rng = np.random.Generator(np.random.PCG64(seed_of(self.seed, "schedule", epoch, *key)))
            turns = rng.permutation(turns)
        number = np.empty_like(turns)
        for group, count in enumerate(counts):
            number[turns == group] = np.arange(count)
        return np.stack([turns, number], axis=1)

    def requests(self, epoch: int, first: int = 0, taken: Taken | None = None) -> Iterator[Request]:
        """This rank's batches of an epoch from number `first` on."""
        for turn in self.schedule(epoch, taken)[first:]:
            group, number = turn.tolist()
            yield self._request(epoch, group, number, taken)

    def after(self, epoch: int, position: int, taken: Taken) -> Taken:
        """What is taken after `position` more batches, by all ranks together. Needs `shuffle`."""
        done = np.bincount(self.schedule(epoch, taken)[:position, 0], minlength=len(self.groups)).tolist()
        parts = zip(done, taken, self.groups, strict=True)
        return tuple(
            first + min(count * self.global_batch, group.size - first) for count, first, group in parts
        )

    def taken_up(self, before: Order, epoch: int, position: int, taken: Taken) -> tuple[int, Taken]:
        """Returns position and what was taken before it, with which to go on where `before` stopped.

        An epoch in which nothing was seen starts as usual. Where this order's own batches after `taken` come
        to the same tiles in some position, as with the same global batch, it goes on there; else what is left
        is gone through anew.
        """
        now = before.after(epoch, position, taken)
        if not any(now):
            return 0, self.whole
        seen = zip(now, taken, strict=True)
        same = sum(-(-(new - old) // self.global_batch) for new, old in seen)
        return (same, taken) if self.after(epoch, same, taken) == now else (0, now)

    def stand_ins(self, request: Request, turn: int) -> Iterator[tuple[int, int]]:
        """Yields tiles that may replace tile number `turn` of a batch, with their keys, best first.

        They are the same row of the global batches that follow, so that no two rows get the same tile, and
        then, should none of those be readable, all tiles. Without shuffling the place is to stay empty.
        """
        if not self.shuffle:
            return
        tiles = self.tiles(request.group, request.epoch)
        keys = self.keys(request.group, request.epoch, tiles)
        place = int(np.flatnonzero(tiles == request.tiles[turn])[0])
        row = np.arange(place % self.global_batch, len(tiles), self.global_batch)
        for one in np.concatenate([row[row > place], row[row < place], np.arange(len(tiles))]).tolist():
            yield int(tiles[one]), int(keys[one])

    def count(self, epoch: int, taken: Taken) -> int:
        """Returns batches of this rank in what is left of an epoch."""
        return len(self.schedule(epoch, taken))

    def state(self, taken: Taken) -> dict[str, Any]:
        """What is left of an epoch and what makes its batches, as JSON."""
        return {
            "order": "global",
            "ranks": self.ranks,
            "global_batch": self.global_batch,
            "taken": list(taken),
        }

    def go_on(self, state: Mapping[str, Any]) -> tuple[int, Taken]:
        """Returns position and what was taken before it, with which to go on from `state`; see `taken_up`."""
        position = int(state["position"])
        if not self.shuffle:
            return position, self.whole
        if state["order"] != "global":
            if position or state["legs"]:
                raise CheckpointError(
                    "data.order was rank and is now global, in the middle of an epoch: go on with rank until "
                    "it has ended, or start a new run from these weights (trainer.start_from)"
                )
            return 0, self.whole
        ranks = int(state["ranks"])
        before = replace(self, batch_size=int(state["global_batch"]) // ranks, rank=0, ranks=ranks)
        epoch, taken = int(state["epoch"]), tuple(state["taken"])
        if position > before.count(epoch, taken):
            raise ValueError(f"position {position} is past the end of its epoch")
        return self.taken_up(before, epoch, position, taken)

    def keys(self, group: int, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns one random key per tile.

        Without shuffling keys are the same in every epoch, so that epochs can be compared.
        """
        return sample_keys(self.seed, self.groups[group].name, epoch if self.shuffle else 0, tiles)

    def tiles(self, group: int, epoch: int) -> NDArray[np.int64]:
        """Returns the group's tiles in the shuffled order of the epoch; that of one epoch is kept."""
        if group not in self._orders or self._orders[group][0] != epoch:
            self._orders[group] = epoch, shuffled(self.groups[group], self.seed, epoch)
        return self._orders[group][1]

    def _request(self, epoch: int, group: int, number: int, taken: Taken | None) -> Request:
        if not self.shuffle:
            places = self._in_order(group)[number * self.batch_size :][: self.batch_size]
            tiles = np.arange(places.start, places.stop)
            return Request(epoch, group, tiles, self.keys(group, epoch, tiles))
        batch = self._batch(group, number, taken)
        own = share(batch, self.rank, self.ranks)
        places = own or batch[self.rank % len(batch) :][:1]
        tiles = self.tiles(group, epoch)[places.start : places.stop]
        keys = self.keys(group, epoch, tiles)
        return Request(epoch, group, tiles, keys, len(batch) / self.ranks, counts=len(own) > 0)

    def _in_order(self, group: int) -> range:
        """This rank's tiles of a group, without shuffling."""
        return share(range(self.groups[group].size), self.rank, self.ranks)

    def _batch(self, group: int, number: int, taken: Taken | None) -> range:
        """Places in the group's order that make its batch `number`, of all ranks together."""
        begin = (taken or self.whole)[group] + number * self.global_batch
        return range(begin, min(begin + self.global_batch, self.groups[group].size))


def share(places: range, rank: int, ranks: int) -> range:
    """Returns the slice of rank `rank`: consecutive slices whose lengths differ by at most one, longer ones
    first.
    """
    each, more = divmod(len(places), ranks)
    first = rank * each + min(rank, more)
    return places[first : first + each + (rank < more)]

"""The order of an epoch: integers only, a pure function of (seed, epoch) and of where it was taken up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.seeds import seed_of


class Request(NamedTuple):
    """One rank's batch: `tiles` `[b]` of group number `group`, at `places` `[b]` of that group's order.

    `keys` `[b]` is one random number per tile.
    """

    epoch: int
    group: int
    places: NDArray[np.int64]
    tiles: NDArray[np.int64]
    keys: NDArray[np.int64]


class Span(NamedTuple):
    """Part of an epoch: of each group, the places from `taken` up to, not with, `ends` of its order."""

    taken: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Group:
    """Tiles that may share a batch: those of one data set (and one variable when `single_channel`).

    `counts` `[N]` holds the tiles of each file; `buffer` the shuffle buffer's size in tiles.
    """

    dataset: str
    name: str
    counts: NDArray[np.int64]
    buffer: int = 0

    @property
    def size(self) -> int:
        """Tiles in the group."""
        return int(self.counts.sum())


def shuffled(group: Group, seed: int, epoch: int) -> NDArray[np.int64]:
    """The group's tile numbers in the order of `epoch`.

    Files are permuted, tiles are permuted within their file, then each tile's position moves back by a
    uniform draw below `buffer`: what a shuffle buffer of that size does, without one.
    """
    rng = np.random.Generator(np.random.PCG64(seed_of(seed, "order", group.name, epoch)))
    ranks = np.empty(len(group.counts))
    ranks[rng.permutation(len(group.counts))] = np.arange(len(group.counts))
    tiles = np.argsort(np.repeat(ranks, group.counts) + rng.random(group.size), kind="stable")
    if group.buffer < 2:
        return tiles
    return tiles[np.argsort(np.arange(group.size) + rng.random(group.size) * group.buffer, kind="stable")]


def sample_keys(seed: int, name: str, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """One non-negative random key per tile, a function of (seed, group, epoch, tile).

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

    With `shuffle`, every rank takes its slice of the same global batches of `batch_size * ranks` tiles; a
    group's last batch is cut to a multiple of `ranks`, so at most `ranks - 1` tiles per group and epoch are
    left out. Without, the order is that of the files in every epoch, each rank takes a share of every group
    that differs by at most one tile, and nothing is left out. `caps` limits the batches of a data set.

    A shuffled epoch can go on with other ranks or batches: `taken_up`. What is left of it is a `Span`, whose
    batches are a function of seed, epoch and what was taken; tiles cut off so far are still in it.
    """

    groups: Sequence[Group]
    batch_size: int
    seed: int
    rank: int = 0
    ranks: int = 1
    shuffle: bool = True
    caps: Mapping[str, int] = field(default_factory=dict)

    @property
    def global_batch(self) -> int:
        """Tiles in a batch over all ranks."""
        return self.batch_size * self.ranks

    def __len__(self) -> int:
        return sum(self.batches(group) - self._is_cut(group) for group in range(len(self.groups)))

    @property
    def whole(self) -> Span:
        """A whole epoch; capped data sets end where their last batch does."""
        sizes = [group.size for group in self.groups]
        if self.shuffle:
            sizes = [min(n, self.batches(group) * self.global_batch) for group, n in enumerate(sizes)]
        return Span((0,) * len(sizes), tuple(sizes))

    def batches(self, group: int, span: Span | None = None) -> int:
        """Batches of a group in an epoch; those of a capped data set are shared among its groups."""
        if span is not None and self.shuffle:
            return -(-(span.ends[group] - span.taken[group]) // self.global_batch)
        size = self.global_batch if self.shuffle else self.batch_size
        tiles = self.groups[group].size if self.shuffle else self._share(group)[1]
        name = self.groups[group].dataset
        if name not in self.caps:
            return -(-tiles // size)
        members = [number for number, other in enumerate(self.groups) if other.dataset == name]
        cap, rest = divmod(self.caps[name], len(members))
        return min(-(-tiles // size), cap + (members.index(group) < rest))

    def schedule(self, epoch: int, span: Span | None = None) -> NDArray[np.int64]:
        """`[batches, 2]`: group, and number of the batch within it, of each batch of the epoch.

        A last batch of fewer tiles than ranks is taken out at the end, so that the rest does not depend on
        the number of ranks.
        """
        counts = [self.batches(group, span) for group in range(len(self.groups))]
        turns = np.repeat(np.arange(len(counts)), counts)
        if self.shuffle:
            taken = span.taken if span is not None and any(span.taken) else ()
            rng = np.random.Generator(np.random.PCG64(seed_of(self.seed, "schedule", epoch, *taken)))
            turns = rng.permutation(turns)
        number, kept = np.empty_like(turns), np.ones(len(turns), bool)
        for group, count in enumerate(counts):
            mine = np.flatnonzero(turns == group)
            number[mine] = np.arange(count)
            kept[mine[count - self._is_cut(group, span) :]] = False
        return np.stack([turns, number], axis=1)[kept]

    def requests(self, epoch: int, first: int = 0, span: Span | None = None) -> Iterator[Request]:
        """This rank's batches of an epoch from number `first` on."""
        orders: dict[int, NDArray[np.int64]] = {}
        for group, number in self.schedule(epoch, span)[first:].tolist():
            if group not in orders:
                orders[group] = self.tiles(group, epoch)
            places = self._places(group, number, span)
            tiles = orders[group][places]
            yield Request(epoch, group, places, tiles, self.keys(group, epoch, tiles))

    def after(self, epoch: int, position: int, span: Span) -> Span:
        """What `position` batches leave of `span`, on all ranks together. Needs `shuffle`."""
        done = np.bincount(self.schedule(epoch, span)[:position, 0], minlength=len(self.groups)).tolist()
        parts = zip(done, span.taken, span.ends, strict=True)
        taken = (
            begin + min(count * self.global_batch, (end - begin) // self.ranks * self.ranks)
            for count, begin, end in parts
        )
        return Span(tuple(taken), span.ends)

    def taken_up(self, before: Order, epoch: int, position: int, span: Span) -> tuple[int, Span]:
        """Position and span at which this order goes on where `before` stopped, with what was not seen.

        An epoch in which nothing was seen starts as usual. Where this order's own batches of `span` come to
        the same tiles in some position, as with the same global batch, it goes on there; else what is left
        is a span of its own.
        """
        left = before.after(epoch, position, span)
        if not any(left.taken):
            return 0, self.whole
        seen = zip(left.taken, span.taken, strict=True)
        same = sum(-(-(now - then) // self.global_batch) for now, then in seen)
        return (same, span) if self.after(epoch, same, span) == left else (0, left)

    def stand_ins(self, group: int, place: int) -> NDArray[np.int64]:
        """Places whose tiles may replace that at `place`, best first.

        They are the same row of the global batches that follow, so that no two rows get the same tile, and
        then, should none of those be readable, all places.
        """
        places = np.arange(self.groups[group].size)
        row = places[place % self.global_batch :: self.global_batch]
        return np.concatenate([row[row > place], row[row < place], places])

    def keys(self, group: int, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """One random key per tile; without shuffling the same in every epoch, so that epochs compare."""
        return sample_keys(self.seed, self.groups[group].name, epoch if self.shuffle else 0, tiles)

    def tiles(self, group: int, epoch: int) -> NDArray[np.int64]:
        """The group's tiles in the order of the epoch."""
        if not self.shuffle:
            return np.arange(self.groups[group].size)
        return _cached(self.groups[group], self.seed, epoch)

    def _is_cut(self, group: int, span: Span | None = None) -> bool:
        """Whether the group's last batch has fewer tiles than there are ranks."""
        count = self.batches(group, span)
        return self.shuffle and count > 0 and len(self._places(group, count - 1, span)) == 0

    def _share(self, group: int) -> tuple[int, int]:
        """First place and number of places of this rank, without shuffling."""
        size, rest = divmod(self.groups[group].size, self.ranks)
        return self.rank * size + min(self.rank, rest), size + (self.rank < rest)

    def _places(self, group: int, number: int, span: Span | None) -> NDArray[np.int64]:
        if not self.shuffle:
            first, size = self._share(group)
            begin = number * self.batch_size
            return np.arange(first + begin, first + min(begin + self.batch_size, size))
        taken, end = (0, self.groups[group].size) if span is None else (span.taken[group], span.ends[group])
        begin = taken + number * self.global_batch
        share = min(self.global_batch, end - begin) // self.ranks
        return np.arange(share) + begin + self.rank * share


@lru_cache(maxsize=8)
def _cached(group: Group, seed: int, epoch: int) -> NDArray[np.int64]:
    return shuffled(group, seed, epoch)

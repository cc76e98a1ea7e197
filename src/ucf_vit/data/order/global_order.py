"""Order of an epoch in which ranks read slices of the same global batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.seeds import seed_of
from ucf_vit.data.order.epoch_order import Group, Request
from ucf_vit.data.order.shuffling import sample_keys, shuffled_tiles

Consumed = tuple[int, ...]
"""Progress of an epoch: the number of tiles of each group that were read, from the start of its order."""


@dataclass(frozen=True, eq=False)
class GlobalOrder:
    """Order that all ranks share, for rank `rank` of `ranks`.

    With `shuffle`, every rank takes its slice of the same global batches of `batch_size * ranks` tiles. A
    group's last batch may be smaller; its slices differ by at most one tile, and some may be empty. Without,
    the order is that of the files in every epoch, and each rank takes a slice of every group; slices differ
    by at most one tile. Either way an epoch contains every tile once.

    A shuffled epoch can be resumed with other ranks or another batch size (`resume_after`). Its remaining
    batches are a function of seed, epoch and the tiles `Consumed` before.
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
        """Number of tiles in a batch over all ranks."""
        return self.batch_size * self.ranks

    @property
    def full_epoch(self) -> Consumed:
        """A whole epoch: nothing was read before."""
        return (0,) * len(self.groups)

    def __len__(self) -> int:
        return sum(self.batches(group) for group in range(len(self.groups)))

    def batches(self, group: int, consumed: Consumed | None = None) -> int:
        """Returns the number of batches of a group in an epoch, or in the remainder after `consumed`."""
        if not self.shuffle:
            return -(-len(self._unshuffled(group)) // self.batch_size)
        remaining = self.groups[group].size - (consumed or self.full_epoch)[group]
        return -(-remaining // self.global_batch)

    def schedule(self, epoch: int, consumed: Consumed | None = None) -> NDArray[np.int64]:
        """Returns `[batches, 2]`: group, and number within the group, of each batch of the epoch."""
        counts = [self.batches(group, consumed) for group in range(len(self.groups))]
        turns = np.repeat(np.arange(len(counts)), counts)
        if self.shuffle:
            key = consumed if consumed is not None and any(consumed) else ()
            rng = np.random.Generator(np.random.PCG64(seed_of(self.seed, "schedule", epoch, *key)))
            turns = rng.permutation(turns)
        number = np.empty_like(turns)
        for group, count in enumerate(counts):
            number[turns == group] = np.arange(count)
        return np.stack([turns, number], axis=1)

    def count(self, epoch: int, part: Consumed) -> int:
        """Returns the number of this rank's batches in the remainder of an epoch."""
        return len(self.schedule(epoch, part))

    def requests(self, epoch: int, first: int = 0, part: Consumed | None = None) -> Iterator[Request]:
        """Yields this rank's batches of an epoch from number `first` on."""
        for turn in self.schedule(epoch, part)[first:]:
            group, number = turn.tolist()
            yield self._request(epoch, group, number, part)

    def consumed_after(self, epoch: int, position: int, consumed: Consumed) -> Consumed:
        """Returns what all ranks together have read after `position` more batches. Needs `shuffle`."""
        done = np.bincount(self.schedule(epoch, consumed)[:position, 0], minlength=len(self.groups)).tolist()
        parts = zip(done, consumed, self.groups, strict=True)
        return tuple(
            first + min(count * self.global_batch, group.size - first) for count, first, group in parts
        )

    def resume_after(
        self, before: GlobalOrder, epoch: int, position: int, consumed: Consumed
    ) -> tuple[int, Consumed]:
        """Returns position, and tiles consumed before it, with which to resume where `before` stopped.

        An epoch of which nothing was read starts as usual. Where this order's own batches after `consumed`
        cover the same tiles at some position, as with the same global batch, it resumes there; else the
        remaining tiles are divided into new batches.
        """
        now = before.consumed_after(epoch, position, consumed)
        if not any(now):
            return 0, self.full_epoch
        pairs = zip(now, consumed, strict=True)
        same = sum(-(-(new - old) // self.global_batch) for new, old in pairs)
        return (same, consumed) if self.consumed_after(epoch, same, consumed) == now else (0, now)

    def replacements(self, request: Request, row: int) -> Iterator[tuple[int, int]]:
        """Yields tiles that may replace the one in row `row` of a batch, with their keys, best first.

        These are the tiles in the same row of the following global batches, so that no two rows get the same
        tile, and then, should none of those be readable, all tiles. Without shuffling there are none.
        """
        if not self.shuffle:
            return
        tiles = self.tiles(request.group, request.epoch)
        keys = self.keys(request.group, request.epoch, tiles)
        place = int(np.flatnonzero(tiles == request.tiles[row])[0])
        same_row = np.arange(place % self.global_batch, len(tiles), self.global_batch)
        following, preceding = same_row[same_row > place], same_row[same_row < place]
        for other in np.concatenate([following, preceding, np.arange(len(tiles))]).tolist():
            yield int(tiles[other]), int(keys[other])

    def state(self, part: Consumed) -> dict[str, Any]:
        """Returns the remainder of an epoch and what determines its batches, as JSON."""
        return {
            "order": "global",
            "ranks": self.ranks,
            "global_batch": self.global_batch,
            "taken": list(part),
        }

    def resume(self, state: Mapping[str, Any]) -> tuple[int, Consumed]:
        """Returns the position, and the tiles consumed before it, with which to resume from `state`.

        Raises ValueError where `state` is past the end of its epoch.
        """
        position = int(state["position"])
        if not self.shuffle:
            return position, self.full_epoch
        if state["order"] != "global":
            if position or state["legs"]:
                raise CheckpointError(
                    "data.order was rank and is now global, in the middle of an epoch: go on with rank until "
                    "it has ended, or start a new run from these weights (trainer.start_from)"
                )
            return 0, self.full_epoch
        ranks = int(state["ranks"])
        before = replace(self, batch_size=int(state["global_batch"]) // ranks, rank=0, ranks=ranks)
        epoch, consumed = int(state["epoch"]), tuple(state["taken"])
        if position > before.count(epoch, consumed):
            raise ValueError(f"position {position} is past the end of its epoch")
        return self.resume_after(before, epoch, position, consumed)

    def keys(self, group: int, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns one random key per tile.

        Without shuffling keys are the same in every epoch, so that epochs can be compared.
        """
        return sample_keys(self.seed, self.groups[group].name, epoch if self.shuffle else 0, tiles)

    def tiles(self, group: int, epoch: int) -> NDArray[np.int64]:
        """Returns the group's tiles in the order of the epoch; the order of one epoch is cached."""
        if group not in self._orders or self._orders[group][0] != epoch:
            self._orders[group] = epoch, shuffled_tiles(self.groups[group], self.seed, epoch)
        return self._orders[group][1]

    def _request(self, epoch: int, group: int, number: int, consumed: Consumed | None) -> Request:
        if not self.shuffle:
            places = self._unshuffled(group)[number * self.batch_size :][: self.batch_size]
            tiles = np.arange(places.start, places.stop)
            return Request(epoch, group, tiles, self.keys(group, epoch, tiles))
        batch = self._batch(group, number, consumed)
        own = rank_slice(batch, self.rank, self.ranks)
        places = own or batch[self.rank % len(batch) :][:1]
        tiles = self.tiles(group, epoch)[places.start : places.stop]
        keys = self.keys(group, epoch, tiles)
        return Request(epoch, group, tiles, keys, len(batch) / self.ranks, counts=len(own) > 0)

    def _unshuffled(self, group: int) -> range:
        """Returns this rank's tiles of a group, without shuffling."""
        return rank_slice(range(self.groups[group].size), self.rank, self.ranks)

    def _batch(self, group: int, number: int, consumed: Consumed | None) -> range:
        """Returns the places, in the group's order, of its global batch number `number`."""
        begin = (consumed or self.full_epoch)[group] + number * self.global_batch
        return range(begin, min(begin + self.global_batch, self.groups[group].size))


def rank_slice(places: range, rank: int, ranks: int) -> range:
    """Returns the slice of rank `rank`: consecutive slices whose lengths differ by at most one.

    The first ranks have the longer slices.
    """
    each, more = divmod(len(places), ranks)
    first = rank * each + min(rank, more)
    return places[first : first + each + (rank < more)]

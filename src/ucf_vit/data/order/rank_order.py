"""Order of an epoch in which each rank reads tiles of its own, distributed by a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.order.epoch_order import Group, Request
from ucf_vit.data.order.rank_tiles import RankTiles, Tiles
from ucf_vit.data.order.shuffling import sample_keys
from ucf_vit.planning.cost import Workload
from ucf_vit.planning.plan import Plan
from ucf_vit.planning.sharing import Sharing, share_remainder


class EpochSegment(NamedTuple):
    """Part of an epoch that was read with one sharing: `done` batches by each rank."""

    sharing: Sharing
    done: int


class Remainder(NamedTuple):
    """Part of an epoch that remains after `segments` (none: all of it).

    `sharing` distributes it over the ranks, in `steps` batches each.
    """

    segments: tuple[EpochSegment, ...]
    sharing: Sharing
    steps: int


@dataclass(frozen=True, eq=False)
class RankOrder:
    """Order for rank `rank` of those to which `sharing` gives parts of the data.

    A rank passes over its own tiles in batches of `sharing.batch_size` until it has made `steps` of them, as
    all ranks do: each tile is read once, and again where a rank has to keep in step with the others.

    An epoch can be resumed with other ranks or another batch size (`resume`). The tiles not seen yet are then
    distributed anew, by the cost of a tile of each data set, `costs`, with all its variables. The order is a
    function of seed, epoch, rank and the segments before.
    """

    groups: Sequence[Group]
    seed: int
    rank: int
    sharing: Sharing
    steps: int
    costs: Sequence[float]
    shuffle: bool = True

    @classmethod
    def of(cls, plan: Plan, groups: Sequence[Group], seed: int, rank: int) -> RankOrder:
        """Returns the order that a plan for these groups describes."""
        sharing = Sharing(plan.ranks, plan.batch_size, plan.groups)
        return cls(groups, seed, rank, sharing, plan.steps, [part.tile_cost for part in plan.parts])

    @property
    def ranks(self) -> int:
        """Number of ranks that read."""
        return self.sharing.ranks

    @property
    def global_batch(self) -> int:
        """Number of tiles in a batch over all ranks."""
        return self.sharing.batch_size * self.ranks

    @property
    def full_epoch(self) -> Remainder:
        """A whole epoch."""
        return Remainder((), self.sharing, self.steps)

    def __len__(self) -> int:
        return self.steps

    def count(self, epoch: int, part: Remainder) -> int:
        """Returns the number of batches of each rank in the remainder of an epoch."""
        return part.steps

    def requests(self, epoch: int, first: int, part: Remainder) -> Iterator[Request]:
        """Yields this rank's batches of the remainder of an epoch, from number `first` on."""
        own = self._tiles_of(epoch, part.segments, part.sharing, self.rank)
        for step in range(first, part.steps):
            group, tiles, passes = own.batch(step)
            yield Request(epoch, group, tiles, self._keys(group, epoch, tiles, passes))

    def replacements(self, request: Request, row: int) -> Iterator[tuple[int, int]]:
        """Yields tiles that may replace an unreadable one, with keys: those that follow it, cyclically."""
        size = self.groups[request.group].size
        for tile in (np.arange(1, size) + request.tiles[row]) % size:
            yield int(tile), int(self._keys(request.group, request.epoch, tile[None], np.zeros(1, int))[0])

    def state(self, part: Remainder) -> dict[str, Any]:
        """Returns how the remainder of an epoch is distributed, as JSON."""
        segments = [{**segment.sharing._asdict(), "done": segment.done} for segment in part.segments]
        return {
            "order": "rank",
            "ranks": self.ranks,
            "global_batch": self.global_batch,
            "sharing": part.sharing._asdict(),
            "steps": part.steps,
            "legs": segments,
        }

    def resume(self, state: Mapping[str, Any]) -> tuple[int, Remainder]:
        """Returns position and remainder with which to resume from `state`: the tiles not seen by then."""
        epoch, position = int(state["epoch"]), int(state["position"])
        if state["order"] != "rank":
            if position or any(state["taken"]):
                raise CheckpointError(
                    "data.order was global and is now rank, in the middle of an epoch: go on with global "
                    "until it has ended, or start a new run from these weights (trainer.start_from)"
                )
            return 0, self.full_epoch
        then = Sharing.from_state(state["sharing"])
        segments = tuple(EpochSegment(Sharing.from_state(leg), leg["done"]) for leg in state["legs"])
        if not segments and not position:
            return 0, self.full_epoch
        now = self._remainder(epoch, segments)
        if now.sharing == then:
            return position, now._replace(steps=int(state["steps"]))
        return 0, self._remainder(epoch, (*segments, EpochSegment(then, position)) if position else segments)

    def _remainder(self, epoch: int, segments: tuple[EpochSegment, ...]) -> Remainder:
        """Returns what remains after `segments`, distributed anew over these ranks."""
        if not segments:
            return self.full_epoch
        unseen = _unseen(self, epoch, segments)
        works = [
            Workload(self.groups[members[0]].dataset, np.array([most]), cost) if most else None
            for members, cost in zip(self._members, self.costs, strict=True)
            for most in [max(len(unseen[group]) for group in members)]
        ]
        sharing = share_remainder(works, self.sharing)
        batches = [-(-np.diff(edges) // sharing.batch_size) for edges in self._edges(unseen, sharing)]
        return Remainder(segments, sharing, int(np.sum(batches, axis=0).max()))

    def _tiles_of(
        self, epoch: int, segments: tuple[EpochSegment, ...], sharing: Sharing, rank: int
    ) -> RankTiles:
        """Returns the tiles of `rank`; all unseen tiles where none is left for it."""
        unseen = _unseen(self, epoch if segments else 0, segments)
        edges = self._edges(unseen, sharing)
        tiles = [part[cut[rank] : cut[rank + 1]] for part, cut in zip(unseen, edges, strict=True)]
        own = tiles if any(map(len, tiles)) else unseen
        return RankTiles(self.groups, own, sharing.batch_size, (self.seed, epoch, len(segments), rank))

    def _edges(self, unseen: Sequence[Tiles], sharing: Sharing) -> list[NDArray[np.int64]]:
        """Returns the boundaries between the ranks' parts of the `unseen` tiles of each group."""
        edges, before = [], 0
        for dataset, members in enumerate(self._members):
            edges += [sharing.edges(dataset, len(unseen[group]), before) for group in members]
            before += max(len(unseen[group]) for group in members)
        return edges

    @property
    def _members(self) -> list[list[int]]:
        """Numbers of the groups of each data set, which are adjacent: one, or one per variable."""
        numbers = range(len(self.groups))
        return [list(same) for _, same in groupby(numbers, key=lambda number: self.groups[number].dataset)]

    def _keys(self, group: int, epoch: int, tiles: Tiles, passes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns a random key per tile and pass; in the first pass the same as `GlobalOrder`'s."""
        name = self.groups[group].name
        keys = sample_keys(self.seed, name, epoch, tiles)
        for number in np.unique(passes[passes > 0]):
            again = passes == number
            keys[again] = sample_keys(self.seed, f"{name}, pass {number}", epoch, tiles[again])
        return keys


@lru_cache(maxsize=4)
def _unseen(order: RankOrder, epoch: int, segments: tuple[EpochSegment, ...]) -> list[Tiles]:
    """Returns the tiles of each group that no rank read in `segments`, ascending."""
    if not segments:
        return [np.arange(group.size) for group in order.groups]
    *before, (sharing, done) = segments
    unseen = _unseen(order, epoch, tuple(before))
    seen: list[list[Tiles]] = [[] for _ in unseen]
    for rank in range(sharing.ranks):
        of_rank = order._tiles_of(epoch, tuple(before), sharing, rank)
        for parts, tiles in zip(seen, of_rank.seen(done), strict=True):
            parts.append(tiles)
    return [
        np.setdiff1d(tiles, np.concatenate(parts), assume_unique=True)
        for tiles, parts in zip(unseen, seen, strict=True)
    ]

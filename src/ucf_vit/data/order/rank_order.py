"""The order of an epoch in which each rank reads tiles of its own, as a plan shares them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.order.epoch_order import Group, Request, sample_keys
from ucf_vit.data.order.rank_tiles import Share, Tiles
from ucf_vit.planning.cost import Workload
from ucf_vit.planning.plan import Plan
from ucf_vit.planning.sharing import Sharing, share_remainder


class EpochSegment(NamedTuple):
    """The part of an epoch that was read in one way: `done` batches by each rank."""

    sharing: Sharing
    done: int


class Remainder(NamedTuple):
    """What `legs` left of an epoch (no legs: all of it), and how ranks share it in `steps` batches each."""

    legs: tuple[EpochSegment, ...]
    sharing: Sharing
    steps: int


@dataclass(frozen=True, eq=False)
class RankOrder:
    """Which tiles make which batch, for rank `rank` of those that `sharing` gives parts of the data.

    A rank passes over its own tiles, in batches of `sharing.batch_size`, until it has made `steps` of them,
    as all ranks do: each tile is seen once, and again where a rank has to keep step with the others.

    An epoch can go on with other ranks or batches (`go_on`). What was not seen yet is then shared out anew,
    by what a tile of each data set costs, `costs`, all its variables together. All is a function of seed,
    epoch, rank and what came before.
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
        """Ranks that read."""
        return self.sharing.ranks

    @property
    def global_batch(self) -> int:
        """Tiles in a batch over all ranks."""
        return self.sharing.batch_size * self.ranks

    @property
    def whole(self) -> Remainder:
        """A whole epoch."""
        return Remainder((), self.sharing, self.steps)

    def __len__(self) -> int:
        return self.steps

    def count(self, epoch: int, rest: Remainder) -> int:
        """Returns batches of each rank in what is left of an epoch."""
        return rest.steps

    def requests(self, epoch: int, first: int, rest: Remainder) -> Iterator[Request]:
        """This rank's batches of what is left of an epoch, from number `first` on."""
        share = self._share(epoch, rest.legs, rest.sharing, self.rank)
        for step in range(first, rest.steps):
            group, tiles, passes = share.batch(step)
            yield Request(epoch, group, tiles, self._keys(group, epoch, tiles, passes))

    def stand_ins(self, request: Request, turn: int) -> Iterator[tuple[int, int]]:
        """Yields tiles that may replace an unreadable one, with keys: those that follow it, cyclically."""
        size = self.groups[request.group].size
        for tile in (np.arange(1, size) + request.tiles[turn]) % size:
            yield int(tile), int(self._keys(request.group, request.epoch, tile[None], np.zeros(1, int))[0])

    def state(self, rest: Remainder) -> dict[str, Any]:
        """Returns how what is left of an epoch is shared, as JSON."""
        legs = [{**leg.sharing._asdict(), "done": leg.done} for leg in rest.legs]
        return {
            "order": "rank",
            "ranks": self.ranks,
            "global_batch": self.global_batch,
            "sharing": rest.sharing._asdict(),
            "steps": rest.steps,
            "legs": legs,
        }

    def go_on(self, state: Mapping[str, Any]) -> tuple[int, Remainder]:
        """Returns position and remainder with which to resume from `state`: the tiles not seen by then."""
        epoch, position = int(state["epoch"]), int(state["position"])
        if state["order"] != "rank":
            if position or any(state["taken"]):
                raise CheckpointError(
                    "data.order was global and is now rank, in the middle of an epoch: go on with global "
                    "until it has ended, or start a new run from these weights (trainer.start_from)"
                )
            return 0, self.whole
        then = Sharing.from_state(state["sharing"])
        legs = tuple(EpochSegment(Sharing.from_state(leg), leg["done"]) for leg in state["legs"])
        if not legs and not position:
            return 0, self.whole
        now = self._reshared(epoch, legs)
        if now.sharing == then:
            return position, now._replace(steps=int(state["steps"]))
        return 0, self._reshared(epoch, (*legs, EpochSegment(then, position)) if position else legs)

    def _reshared(self, epoch: int, legs: tuple[EpochSegment, ...]) -> Remainder:
        """What `legs` left, shared out anew among these ranks."""
        if not legs:
            return self.whole
        left = _left(self, epoch, legs)
        works = [
            Workload(self.groups[members[0]].dataset, np.array([most]), cost) if most else None
            for members, cost in zip(self._members, self.costs, strict=True)
            for most in [max(len(left[group]) for group in members)]
        ]
        sharing = share_remainder(works, self.sharing)
        batches = [-(-np.diff(edges) // sharing.batch_size) for edges in self._edges(left, sharing)]
        return Remainder(legs, sharing, int(np.sum(batches, axis=0).max()))

    def _share(self, epoch: int, legs: tuple[EpochSegment, ...], sharing: Sharing, rank: int) -> Share:
        """What `rank` reads; a rank for which not one tile is left reads what the others do."""
        left = _left(self, epoch if legs else 0, legs)
        edges = self._edges(left, sharing)
        tiles = [part[cut[rank] : cut[rank + 1]] for part, cut in zip(left, edges, strict=True)]
        own = tiles if any(map(len, tiles)) else left
        return Share(self.groups, own, sharing.batch_size, (self.seed, epoch, len(legs), rank))

    def _edges(self, left: Sequence[Tiles], sharing: Sharing) -> list[NDArray[np.int64]]:
        """Returns where the pieces of all ranks begin and end among the tiles `left` of each group."""
        found, before = [], 0
        for dataset, members in enumerate(self._members):
            found += [sharing.edges(dataset, len(left[group]), before) for group in members]
            before += max(len(left[group]) for group in members)
        return found

    @property
    def _members(self) -> list[list[int]]:
        """The groups of each data set, which are next to each other: one, or one for each variable."""
        numbers = range(len(self.groups))
        return [list(found) for _, found in groupby(numbers, key=lambda number: self.groups[number].dataset)]

    def _keys(self, group: int, epoch: int, tiles: Tiles, passes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns one random key per tile, another one in every pass; in the first as `Order` has them."""
        name = self.groups[group].name
        keys = sample_keys(self.seed, name, epoch, tiles)
        for number in np.unique(passes[passes > 0]):
            again = passes == number
            keys[again] = sample_keys(self.seed, f"{name}, pass {number}", epoch, tiles[again])
        return keys


@lru_cache(maxsize=4)
def _left(order: RankOrder, epoch: int, legs: tuple[EpochSegment, ...]) -> list[Tiles]:
    """Returns the tiles of each group that nobody saw in `legs`, ascending."""
    if not legs:
        return [np.arange(group.size) for group in order.groups]
    *before, (sharing, done) = legs
    left = _left(order, epoch, tuple(before))
    seen: list[list[Tiles]] = [[] for _ in left]
    for rank in range(sharing.ranks):
        share = order._share(epoch, tuple(before), sharing, rank)
        for parts, tiles in zip(seen, share.seen(done), strict=True):
            parts.append(tiles)
    return [
        np.setdiff1d(tiles, np.concatenate(parts), assume_unique=True)
        for tiles, parts in zip(left, seen, strict=True)
    ]

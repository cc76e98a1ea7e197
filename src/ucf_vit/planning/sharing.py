"""How ranks share what an epoch has, or has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ucf_vit.planning.allocate import allocate
from ucf_vit.planning.cost import Ints, Work
from ucf_vit.planning.tile_runs import even


class Sharing(NamedTuple):
    """`ranks` ranks read batches of `batch_size`; `groups[d]` of them, one after another, read data set d.

    Without `groups` every rank reads of all data sets.
    """

    ranks: int
    batch_size: int
    groups: tuple[int, ...] = ()

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Sharing:
        """From what `_asdict` gave, by way of JSON."""
        return cls(int(state["ranks"]), int(state["batch_size"]), tuple(state["groups"]))

    def readers(self, dataset: int) -> slice:
        """The ranks that read a data set."""
        if not self.groups:
            return slice(0, self.ranks)
        first = sum(self.groups[:dataset])
        return slice(first, first + self.groups[dataset])

    def edges(self, dataset: int, tiles: int, before: int) -> Ints:
        """Where the pieces of a data set's `tiles` begin and end, `[ranks + 1]`; those of others are empty.

        Pieces of its readers differ by one tile at most. `before` are the tiles of the data sets before it.
        """
        sizes = np.zeros(self.ranks, np.int64)
        readers = self.readers(dataset)
        if readers.stop > readers.start:
            sizes[readers] = even(tiles, readers.stop - readers.start, 0 if self.groups else before)
        return np.concatenate([[0], np.cumsum(sizes)])


def share_rest(works: Sequence[Work | None], whole: Sharing) -> Sharing:
    """How the ranks of `whole` share what is left of an epoch; None is a data set of which nothing is left.

    As a plan of all would, but nothing is refused: where there is no rank, or no tile, for each, all ranks
    read of all data sets; and so they do where they share a whole epoch like that.
    """
    ranks, batch_size = whole.ranks, whole.batch_size
    left = [work for work in works if work is not None]
    if not whole.groups or not 0 < len(left) <= ranks <= sum(work.total for work in left):
        return Sharing(ranks, batch_size)
    given = iter(allocate(left, ranks))
    return Sharing(ranks, batch_size, tuple(0 if work is None else next(given) for work in works))

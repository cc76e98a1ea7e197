"""Assignment of ranks to the data sets of an epoch, or of the remainder of an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ucf_vit.planning.allocate import allocate
from ucf_vit.planning.cost import Ints, Workload
from ucf_vit.planning.tile_runs import split_evenly


class Sharing(NamedTuple):
    """Assignment of `ranks` ranks, which read batches of `batch_size`, to data sets.

    `groups[d]` consecutive ranks read data set d. If `groups` is empty, every rank reads all data sets.
    """

    ranks: int
    batch_size: int
    groups: tuple[int, ...] = ()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Sharing:
        """Returns the object for a dictionary from `_asdict`, which may have been saved as JSON."""
        return cls(int(state["ranks"]), int(state["batch_size"]), tuple(state["groups"]))

    def readers(self, dataset: int) -> slice:
        """Returns the ranks that read a data set."""
        if not self.groups:
            return slice(0, self.ranks)
        first = sum(self.groups[:dataset])
        return slice(first, first + self.groups[dataset])

    def edges(self, dataset: int, tiles: int, before: int) -> Ints:
        """Returns the edges `[ranks + 1]` of the parts of a data set's `tiles` that each rank reads.

        Parts of its readers differ by at most one tile, those of other ranks are empty. `before` is the
        number of tiles of the data sets before it.
        """
        sizes = np.zeros(self.ranks, np.int64)
        readers = self.readers(dataset)
        if readers.stop > readers.start:
            sizes[readers] = split_evenly(tiles, readers.stop - readers.start, 0 if self.groups else before)
        return np.concatenate([[0], np.cumsum(sizes)])


def share_remainder(workloads: Sequence[Workload | None], whole: Sharing) -> Sharing:
    """Returns how the ranks of `whole` share the remainder of an epoch; None is a data set without remainder.

    Ranks are allocated as in a plan, but without errors: if there are too few ranks or tiles, all ranks read
    all data sets. They do so too if they read all data sets in the whole epoch.
    """
    ranks, batch_size = whole.ranks, whole.batch_size
    remaining = [workload for workload in workloads if workload is not None]
    total = sum(workload.total for workload in remaining)
    if not whole.groups or not 0 < len(remaining) <= ranks <= total:
        return Sharing(ranks, batch_size)
    counts = iter(allocate(remaining, ranks))
    groups = tuple(0 if workload is None else next(counts) for workload in workloads)
    return Sharing(ranks, batch_size, groups)

"""Allocation of data ranks to data sets."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ucf_vit.core.errors import UserError
from ucf_vit.planning.cost import Workload


def largest_load(workload: Workload, ranks: int) -> float:
    """Returns the cost of the tiles of the fullest of `ranks` ranks that share the tiles evenly."""
    return workload.cost * -(-workload.total // ranks)


def allocate(workloads: Sequence[Workload], ranks: int) -> list[int]:
    """Returns the number of ranks of each data set, at least 1 each, that minimises the largest load.

    The numbers add up to `ranks`. The data set with the largest load repeatedly gets as many ranks as it
    takes to lower that load, as long as there are enough unassigned ranks.

    Proof. Let n* be an optimal allocation with largest load L*. Suppose that the largest load is currently
    above L* and that no data set has more ranks than in n*. Loads never rise with ranks, so the data set with
    the largest load needs at least as many ranks as the next number at which its load falls, and has them in
    n*. Thus enough ranks are unassigned for the step, and after it no data set has more ranks than in n*. At
    the start all data sets have one rank, and in n* they have at least one. So the steps continue until the
    largest load is L*. If there are not enough ranks for a step, the largest load is L* already: that data
    set keeps its ranks, and the steps continue with the others.

    Ranks that lower no largest load still lower a mean load: each goes to the data set with the highest cost
    of tiles per rank, as long as that has more tiles than ranks. Raises UserError if there are fewer ranks
    than data sets or fewer tiles than ranks.
    """
    _check(workloads, ranks)
    counts = [1] * len(workloads)
    unassigned = ranks - len(workloads)
    heap = [(-largest_load(workload, 1), number) for number, workload in enumerate(workloads)]
    heapq.heapify(heap)
    while heap and unassigned:
        _, number = heapq.heappop(heap)
        more = _next_count(workloads[number].total, counts[number]) - counts[number]
        if 0 < more <= unassigned:
            counts[number] += more
            unassigned -= more
            heapq.heappush(heap, (-largest_load(workloads[number], counts[number]), number))
    _assign_remainder(workloads, counts, unassigned)
    return counts


def _check(workloads: Sequence[Workload], ranks: int) -> None:
    if ranks < len(workloads) or not workloads:
        raise UserError(
            f"{ranks} data ranks for {len(workloads)} data sets, which are to have ranks of their own: start "
            f"{len(workloads)} or more, or let every rank read of all (load_balancing.few_ranks=interleave)"
        )
    tiles = sum(workload.total for workload in workloads)
    if tiles < ranks:
        raise UserError(
            f"{tiles} tiles for {ranks} data ranks: use fewer ranks, more data, or data.tile_overlap"
        )


def _next_count(tiles: int, ranks: int) -> int:
    """Returns the next number of ranks at which the fullest has fewer tiles; `ranks` if there is none."""
    most = -(-tiles // ranks)
    return ranks if most == 1 else -(-tiles // (most - 1))


def _assign_remainder(workloads: Sequence[Workload], counts: list[int], unassigned: int) -> None:
    """Assigns the remaining ranks to the highest mean loads that have more tiles than ranks, in place."""
    heap = [
        (-workload.cost * workload.total / n, i)
        for i, (workload, n) in enumerate(zip(workloads, counts, strict=True))
    ]
    heapq.heapify(heap)
    while unassigned:
        _, number = heapq.heappop(heap)
        workload = workloads[number]
        if counts[number] < workload.total:
            counts[number] += 1
            unassigned -= 1
            heapq.heappush(heap, (-workload.cost * workload.total / counts[number], number))

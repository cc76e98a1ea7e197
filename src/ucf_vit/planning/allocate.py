"""How many data ranks each data set gets."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ucf_vit.core.errors import UserError
from ucf_vit.planning.cost import Work


def largest_load(work: Work, ranks: int) -> float:
    """Cost of the tiles of the rank that has most of them, where `ranks` share the tiles evenly."""
    return work.cost * -(-work.total // ranks)


def allocate(works: Sequence[Work], ranks: int) -> list[int]:
    """Ranks of each data set, at least 1 each and `ranks` together, so that the largest load is the least.

    The data set with the largest load gets as many more ranks as lower it, until no ranks are left for that.

    Proof. Take a best allocation n* with largest load L*, and suppose that the largest load now is above L*,
    while no data set has more ranks than in n*. Loads never rise with ranks, so the data set at the top needs
    at least as many ranks as the next n at which its load falls, and n* gives it these: the step can be paid,
    and leaves no data set with more ranks than in n*. All start with one rank, and n* has at least one. So
    steps go on, each with more ranks, until the largest load is L*. Where a step can't be paid, it is L*
    already: the data set at the top stays as it is, and the others go on with what is left.

    Ranks that lower no data set's largest load still lower its mean: each goes where the tiles per rank cost
    most, and nowhere are more ranks than tiles. Raises UserError if there are fewer ranks than data sets or
    fewer tiles than ranks.
    """
    _check(works, ranks)
    given = [1] * len(works)
    left = ranks - len(works)
    heap = [(-largest_load(work, 1), number) for number, work in enumerate(works)]
    heapq.heapify(heap)
    while heap and left:
        _, number = heapq.heappop(heap)
        more = _next(works[number].total, given[number]) - given[number]
        if 0 < more <= left:
            given[number] += more
            left -= more
            heapq.heappush(heap, (-largest_load(works[number], given[number]), number))
    _spread(works, given, left)
    return given


def _check(works: Sequence[Work], ranks: int) -> None:
    if ranks < len(works) or not works:
        raise UserError(
            f"{ranks} data ranks for {len(works)} data sets, which are to have ranks of their own: start "
            f"{len(works)} or more, or let every rank read of all (load_balancing.few_ranks=interleave)"
        )
    tiles = sum(work.total for work in works)
    if tiles < ranks:
        raise UserError(
            f"{tiles} tiles for {ranks} data ranks: use fewer ranks, more data, or data.tile_overlap"
        )


def _next(tiles: int, ranks: int) -> int:
    """The next number of ranks at which the fullest has fewer tiles; `ranks` where there is none."""
    most = -(-tiles // ranks)
    return ranks if most == 1 else -(-tiles // (most - 1))


def _spread(works: Sequence[Work], given: list[int], left: int) -> None:
    """Hand `left` ranks out to the highest mean loads, where there are more tiles than ranks."""
    heap = [(-work.cost * work.total / n, i) for i, (work, n) in enumerate(zip(works, given, strict=True))]
    heapq.heapify(heap)
    while left:
        _, number = heapq.heappop(heap)
        work = works[number]
        if given[number] < work.total:
            given[number] += 1
            left -= 1
            heapq.heappush(heap, (-work.cost * work.total / given[number], number))

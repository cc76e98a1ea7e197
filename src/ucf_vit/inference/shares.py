"""Items distributed over processes, each of which holds the whole network."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import timedelta

PATIENCE = timedelta(days=30)
"""Time that a process waits at the end for the others, whose items may be larger."""


def share_of(rank: int, ranks: int, sizes: Sequence[int]) -> list[int]:
    """Returns the numbers of the items that process `rank` of `ranks` predicts, in order.

    `sizes` are the voxels of each item. The largest item goes first, each to the process with the fewest
    voxels so far, so that no process has more than 4/3 of the smallest possible load (Graham 1969).
    """
    loads = [(0, one) for one in range(ranks)]
    mine: list[int] = []
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        load, least = heapq.heappop(loads)
        heapq.heappush(loads, (load + sizes[number], least))
        if least == rank:
            mine.append(number)
    return sorted(mine)

"""Runs of consecutive tiles of files, and how tiles are split over ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ucf_vit.planning.cost import Ints


class TileRuns(NamedTuple):
    """Runs of tiles, each field `[M]`, sorted by rank, then file.

    `rank` reads `tiles` consecutive tiles of `file`, beginning with number `first`.
    """

    rank: Ints
    file: Ints
    first: Ints
    tiles: Ints


def split_evenly(tiles: int, ranks: int, start: int = 0) -> Ints:
    """Returns the number of tiles `[ranks]` of each rank; they differ by at most 1.

    The remainder goes to ranks `start`, `start + 1`, ..., modulo the number of ranks.
    """
    size, remainder = divmod(tiles, ranks)
    sizes = np.full(ranks, size, np.int64)
    sizes[(start + np.arange(remainder)) % ranks] += 1
    return sizes


def split_interleaved(totals: Sequence[int], ranks: int) -> list[Ints]:
    """Returns the number of tiles `[ranks]` of each data set on each rank if every rank reads all data sets.

    The remainder of a data set begins at the rank at which that of the previous one ended, so that the ranks'
    total numbers of tiles differ by at most 1 too.
    """
    starts = np.cumsum([0, *totals]) % ranks
    return [split_evenly(total, ranks, int(start)) for total, start in zip(totals, starts[:-1], strict=True)]


def cut_into_runs(tiles: Ints, sizes: Ints) -> TileRuns:
    """Returns the runs of ranks that read `sizes` `[ranks]` tiles of files with `tiles` `[N]`, in order.

    Each rank reads whole files, apart from its first and last one, so that few ranks open the same file.
    There are at most N + ranks runs. The sizes must add up to the number of all tiles.
    """
    ends, bounds = np.cumsum(tiles), np.cumsum(sizes)
    edges = np.union1d(ends, bounds)
    starts = np.concatenate([[0], edges[:-1]])
    if not edges[0]:
        edges, starts = edges[1:], starts[1:]
    file = np.searchsorted(ends, starts, side="right")
    return TileRuns(
        rank=np.searchsorted(bounds, starts, side="right"),
        file=file,
        first=starts - (ends - tiles)[file],
        tiles=edges - starts,
    )

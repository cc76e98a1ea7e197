"""Runs of tiles: which tiles of which files each rank reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ucf_vit.planning.cost import Ints


class Runs(NamedTuple):
    """`rank` reads `tiles` tiles of `file` from number `first` on; each `[M]`, sorted by rank, then file."""

    rank: Ints
    file: Ints
    first: Ints
    tiles: Ints


def even(tiles: int, ranks: int, start: int = 0) -> Ints:
    """Tiles `[ranks]` of each rank: they differ by at most 1, which is the least largest load there is.

    Ranks `start`, `start + 1`, ... (the first after the last) have the one more.
    """
    size, rest = divmod(tiles, ranks)
    shares = np.full(ranks, size, np.int64)
    shares[(start + np.arange(rest)) % ranks] += 1
    return shares


def interleaved(totals: Sequence[int], ranks: int) -> list[Ints]:
    """Tiles `[ranks]` of each data set on each rank, where every rank reads of all of them.

    A data set's remainder begins at the rank where the one before ended, so that all tiles of a rank together
    differ by at most 1 too.
    """
    starts = np.cumsum([0, *totals]) % ranks
    return [even(total, ranks, int(start)) for total, start in zip(totals, starts[:-1], strict=True)]


def cut(tiles: Ints, shares: Ints) -> Runs:
    """Files of `tiles` `[N]` one after the other, cut into pieces of `shares` `[ranks]` tiles.

    Rank k reads one piece: whole files, but for the first and the last, so that few ranks open a file. There
    are at most N + ranks runs. The shares add up to all tiles.
    """
    ends, bounds = np.cumsum(tiles), np.cumsum(shares)
    edges = np.union1d(ends, bounds)
    starts = np.concatenate([[0], edges[:-1]])
    if not edges[0]:
        edges, starts = edges[1:], starts[1:]
    file = np.searchsorted(ends, starts, side="right")
    return Runs(
        rank=np.searchsorted(bounds, starts, side="right"),
        file=file,
        first=starts - (ends - tiles)[file],
        tiles=edges - starts,
    )

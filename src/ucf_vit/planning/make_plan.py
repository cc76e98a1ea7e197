"""From data sets and ranks to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.planning.allocate import allocate
from ucf_vit.planning.cost import Ints, Work
from ucf_vit.planning.plan import Plan, PlannedDataset
from ucf_vit.planning.tile_runs import Runs, cut, even, interleaved

LARGEST = np.iinfo(np.int32).max


def make_plan(
    works: Sequence[Work],
    ranks: int,
    batch_size: int,
    *,
    few_ranks: Literal["refuse", "interleave"] = "refuse",
    groups: Sequence[int] | None = None,
    steps: int | None = None,
    digests: Mapping[str, str] | None = None,
    layout: Mapping[str, Any] | None = None,
) -> Plan:
    """Share `works` out: ranks to data sets (`allocate`), then the tiles of each to its ranks, evenly.

    All ranks take as many steps as the one with most batches; the others read theirs again. With fewer ranks
    than data sets and `few_ranks` "interleave", every rank reads of all data sets, of each an equal share:
    its batches then come in proportion to the tiles. `groups`, the ranks of each data set, and `steps` may be
    given instead. Raises UserError where there is no plan.
    """
    mixed = groups is None and ranks < len(works) and few_ranks == "interleave"
    firsts, shares = _mixed(works, ranks) if mixed else _grouped(works, ranks, groups)
    loads = np.zeros(ranks)
    parts, cuts = [], []
    for work, first, share in zip(works, firsts, shares, strict=True):
        loads[first : first + len(share)] += share * work.cost
        runs = cut(work.tiles, share)
        cuts.append(runs._replace(rank=runs.rank + first))
        parts.append(
            PlannedDataset(
                name=work.name,
                files=len(work.tiles),
                tiles=work.total,
                tile_cost=work.cost,
                first_rank=first,
                ranks=len(share),
                batches=work.batches(int(share.max()), batch_size),
                files_digest=(digests or {}).get(work.name, ""),
            )
        )
    batches = [part.batches for part in parts]
    needed = sum(batches) if mixed else max(batches)
    offsets, table = _table(cuts, ranks, sort=mixed)
    return Plan(tuple(parts), ranks, batch_size, steps or needed, mixed, layout or {}, offsets, table, loads)


def _grouped(works: Sequence[Work], ranks: int, given: Sequence[int] | None) -> tuple[list[int], list[Ints]]:
    """First rank of each data set, and the tiles of each of its ranks."""
    groups = allocate(works, ranks) if given is None else given
    for work, group in zip(works, groups, strict=True):
        if group > work.total:
            raise UserError(f"{work.name}: {work.total} tiles for {group} data ranks; give it fewer")
    firsts = [sum(groups[:number]) for number in range(len(groups))]
    return firsts, [even(work.total, group) for work, group in zip(works, groups, strict=True)]


def _mixed(works: Sequence[Work], ranks: int) -> tuple[list[int], list[Ints]]:
    """The same where all ranks read all data sets."""
    totals = [work.total for work in works]
    if sum(totals) < ranks:
        raise UserError(f"{sum(totals)} tiles for {ranks} data ranks: use fewer ranks or more data")
    return [0] * len(works), interleaved(totals, ranks)


def _table(cuts: Sequence[Runs], ranks: int, sort: bool) -> tuple[Ints, NDArray[np.int32]]:
    """Runs of all data sets as rows, those of a rank together, and where each rank's begin."""
    if max(max(int(runs.file.max()), int((runs.first + runs.tiles).max())) for runs in cuts) > LARGEST:
        raise UserError(f"a data set of more than {LARGEST:,} files, or tiles in a file, can't be planned")
    rank = np.concatenate([runs.rank for runs in cuts])
    table = np.empty((len(rank), 4), np.int32)
    begin = 0
    for number, runs in enumerate(cuts):
        rows = table[begin : begin + len(runs.rank)]
        rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = number, runs.file, runs.first, runs.tiles
        begin += len(rows)
    if sort:
        order = np.argsort(rank, kind="stable")
        rank, table = rank[order], table[order]
    return np.searchsorted(rank, np.arange(ranks + 1)), table

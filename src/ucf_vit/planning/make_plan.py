"""Construction of a plan for data sets and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.planning.allocate import allocate
from ucf_vit.planning.cost import Ints, Workload
from ucf_vit.planning.plan import Plan, PlannedDataset
from ucf_vit.planning.tile_runs import TileRuns, cut_into_runs, split_evenly, split_interleaved

LARGEST = np.iinfo(np.int32).max


def make_plan(
    workloads: Sequence[Workload],
    ranks: int,
    batch_size: int,
    *,
    few_ranks: Literal["refuse", "interleave"] = "refuse",
    groups: Sequence[int] | None = None,
    steps: int | None = None,
    digests: Mapping[str, str] | None = None,
    layout: Mapping[str, Any] | None = None,
) -> Plan:
    """Returns a plan that allocates ranks to data sets (`allocate`) and splits the tiles of each evenly.

    All ranks take as many steps as the one with most batches; the others repeat their tiles. With fewer ranks
    than data sets and `few_ranks` "interleave", every rank reads an equal part of all data sets, with batches
    in proportion to the tiles. `groups`, the number of ranks of each data set, and `steps` replace the
    computed values. Raises UserError if no plan exists.
    """
    interleave = groups is None and ranks < len(workloads) and few_ranks == "interleave"
    if interleave:
        first_ranks, splits = _split_interleaved(workloads, ranks)
    else:
        first_ranks, splits = _split_grouped(workloads, ranks, groups)
    loads = np.zeros(ranks)
    parts, runs_of_all = [], []
    for workload, first, sizes in zip(workloads, first_ranks, splits, strict=True):
        loads[first : first + len(sizes)] += sizes * workload.cost
        runs = cut_into_runs(workload.tiles, sizes)
        runs_of_all.append(runs._replace(rank=runs.rank + first))
        parts.append(
            PlannedDataset(
                name=workload.name,
                files=len(workload.tiles),
                tiles=workload.total,
                tile_cost=workload.cost,
                first_rank=first,
                ranks=len(sizes),
                batches=workload.batches(int(sizes.max()), batch_size),
                files_digest=(digests or {}).get(workload.name, ""),
            )
        )
    batches = [part.batches for part in parts]
    steps = steps or (sum(batches) if interleave else max(batches))
    offsets, table = _build_table(runs_of_all, ranks, sort=interleave)
    return Plan(tuple(parts), ranks, batch_size, steps, interleave, layout or {}, offsets, table, loads)


def _split_grouped(
    workloads: Sequence[Workload], ranks: int, groups: Sequence[int] | None
) -> tuple[list[int], list[Ints]]:
    """Returns the first rank of each data set, and the number of tiles of each of its ranks."""
    groups = allocate(workloads, ranks) if groups is None else groups
    for workload, group in zip(workloads, groups, strict=True):
        if group > workload.total:
            raise UserError(f"{workload.name}: {workload.total} tiles for {group} data ranks; give it fewer")
    first_ranks = [sum(groups[:number]) for number in range(len(groups))]
    sizes = [split_evenly(workload.total, group) for workload, group in zip(workloads, groups, strict=True)]
    return first_ranks, sizes


def _split_interleaved(workloads: Sequence[Workload], ranks: int) -> tuple[list[int], list[Ints]]:
    """Returns the same as `_split_grouped` for ranks that all read all data sets."""
    totals = [workload.total for workload in workloads]
    if sum(totals) < ranks:
        raise UserError(f"{sum(totals)} tiles for {ranks} data ranks: use fewer ranks or more data")
    return [0] * len(workloads), split_interleaved(totals, ranks)


def _build_table(runs_of_all: Sequence[TileRuns], ranks: int, sort: bool) -> tuple[Ints, NDArray[np.int32]]:
    """Returns where each rank begins in the table, `[ranks + 1]`, and the table of all runs `[M, 4]`."""
    if max(max(int(runs.file.max()), int((runs.first + runs.tiles).max())) for runs in runs_of_all) > LARGEST:
        raise UserError(f"a data set of more than {LARGEST:,} files, or tiles in a file, can't be planned")
    rank = np.concatenate([runs.rank for runs in runs_of_all])
    table = np.empty((len(rank), 4), np.int32)
    begin = 0
    for number, runs in enumerate(runs_of_all):
        rows = table[begin : begin + len(runs.rank)]
        rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = number, runs.file, runs.first, runs.tiles
        begin += len(rows)
    if sort:
        order = np.argsort(rank, kind="stable")
        rank, table = rank[order], table[order]
    return np.searchsorted(rank, np.arange(ranks + 1)), table

"""Plan as a table, as keys of a config, and as a picture of the loads."""

from __future__ import annotations

import json

import numpy as np

from ucf_vit.drawing.style import LINES, new_figure, render_png
from ucf_vit.planning.plan import Plan, PlannedDataset

_MOST_BARS = 2000


def table(plan: Plan) -> str:
    """Returns a table of the data sets with ranks, tiles, batches and number of passes."""
    head = ("data set", "files", "tiles", "data ranks", "tiles per rank", "batches", "largest/mean", "passes")
    rows: list[tuple[str, ...]] = [head, *(_row(plan, part) for part in plan.parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    title = (
        f"{plan.ranks} data ranks, {plan.steps:,} batches of {plan.batch_size} per rank and epoch; "
        f"largest load / mean {plan.imbalance:.4f}"
    )
    return "\n".join([title, *lines])


def _row(plan: Plan, part: PlannedDataset) -> tuple[str, ...]:
    low, high = part.tiles // part.ranks, -(-part.tiles // part.ranks)
    return (
        part.name,
        f"{part.files:,}",
        f"{part.tiles:,}",
        "all" if plan.interleaved else f"{part.ranks:,}",
        f"{low:,}" if low == high else f"{low:,} or {high:,}",
        f"{part.batches:,}",
        f"{plan.imbalance_of(part):.4f}",
        f"{plan.passes(part):.2f}",
    )


def keys(plan: Plan, indent: str = "") -> str:
    """Returns `batches_per_rank_epoch` and `dataset_group_list` as lines of a config."""
    batches = f"batches_per_rank_epoch: {json.dumps(plan.batches_per_rank_epoch, ensure_ascii=False)}"
    groups = (
        "# no dataset_group_list, since every rank reads all data sets: use data.order=rank"
        if plan.dataset_group_list is None
        else f"dataset_group_list: '{plan.dataset_group_list}'"
    )
    return f"{indent}{batches}\n{indent}{groups}"


def draw_loads(plan: Plan) -> bytes:
    """Returns a PNG of the load of each data rank by data set, with the mean.

    With many ranks a bar stands for a group of neighbours and shows its largest load, since all ranks wait
    for the slowest one.
    """
    size = -(-plan.ranks // _MOST_BARS)
    starts = np.arange(0, plan.ranks, size)
    loads = np.maximum.reduceat(np.asarray(plan.loads), starts)
    with new_figure(7.0, 3.0) as figure:
        axes = figure.add_subplot(
            title=f"{plan.ranks:,} data ranks: largest load / mean {plan.imbalance:.4f}",
            xlabel="data rank" + (f" (each bar: the largest of {size})" if size > 1 else ""),
            ylabel="load of a pass (tokens, or seconds)",
        )
        bounds = np.append(starts, plan.ranks)
        parts = (
            [(0, plan.ranks, "all data sets")]
            if plan.interleaved
            else [(part.first_rank, part.first_rank + part.ranks, part.name) for part in plan.parts]
        )
        for number, (first, end, name) in enumerate(parts):
            values = np.where((starts >= first) & (starts < end), loads, np.nan)
            axes.stairs(values, bounds - 0.5, fill=True, color=LINES[number % len(LINES)], label=name)
        axes.axhline(float(plan.loads.mean()), color="black", linewidth=0.8, linestyle="--", label="mean")
        axes.set_ylim(0, 1.25 * float(loads.max()))
        axes.legend(ncols=4, fontsize=7, loc="upper right")
        return render_png(figure)

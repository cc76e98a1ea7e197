"""Summary of a run from the lines of its `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from ucf_vit.drawing import page
from ucf_vit.drawing.curves import metric_series
from ucf_vit.drawing.page import Table
from ucf_vit.training.hooks.progress import duration

Best = tuple[str, Literal["min", "max"]]
"""Validation metric that chooses the best checkpoint, and whether a lower or higher value is better."""


def run_facts(
    entries: Sequence[dict[str, Any]], best: Best | None, titles: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Returns steps, time, speed and the best validation result as texts by name; empty without lines.

    `titles` are those of metrics that are not shown by their name.
    """
    if not entries:
        return {}
    last = entries[-1]
    facts = {
        "Steps": str(last["step"]),
        "Epochs": str(last["epoch"]),
        "Training time": duration(last["elapsed"]),
    }
    speed = {"samples_per_s": ("Samples/s (median)", "{:.4g}"), "data_wait": ("Waiting for data", "{:.0%}")}
    for name, (title, form) in speed.items():
        _, values = metric_series(entries, name)
        if len(values):
            facts[title] = form.format(float(np.median(values)))
    chosen = _best_entry(entries, best)
    if best is not None and chosen is not None:
        value = page.format_number(chosen[_key(best)])
        metric = best[0].removeprefix("validation/")
        facts[f"Best {titles.get(metric, metric)}"] = f"{value} at step {chosen['step']}"
    return facts


def validation_table(
    entries: Sequence[dict[str, Any]], best: Best | None, titles: Mapping[str, str] = MappingProxyType({})
) -> list[Table]:
    """Returns a table of the metrics of the last and the best validation; no table without validations.

    `titles` are those of metrics that are not shown by their name.
    """
    done = [entry for entry in entries if entry["event"] == "validation"]
    if not done:
        return []
    columns = {f"last (step {done[-1]['step']})": done[-1]}
    chosen = _best_entry(entries, best)
    if chosen is not None:
        columns = {f"best (step {chosen['step']})": chosen, **columns}
    names = [name for name in done[-1] if name.startswith("validation/")]
    rows = {
        titles.get(metric := name.removeprefix("validation/"), metric): {
            title: entry[name] for title, entry in columns.items() if name in entry
        }
        for name in names
    }
    return [Table("metric", rows)]


def _best_entry(entries: Sequence[dict[str, Any]], best: Best | None) -> dict[str, Any] | None:
    if best is None:
        return None
    sign = 1.0 if best[1] == "min" else -1.0
    finite = [entry for entry in entries if _key(best) in entry and math.isfinite(entry[_key(best)])]
    return min(finite, key=lambda entry: sign * entry[_key(best)], default=None)


def _key(best: Best) -> str:
    return f"validation/{best[0].removeprefix('validation/')}"

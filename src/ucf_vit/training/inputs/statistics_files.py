"""Statistics files of a run: measured once, read by every run with normalization `stats`."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.text import read_text
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.reading import reading
from ucf_vit.data.values.running_moments import Moments
from ucf_vit.data.variable_statistics import Statistics, fingerprint, measure

log = logging.getLogger(__name__)

SAVE_SECONDS = 10.0
"""Seconds between saves; at most this much work is lost if `find_statistics` is killed."""


def with_statistics(dataset: Dataset, run: Run, held_out: bool) -> Dataset:
    """Returns `dataset` normalized by the statistics of the run, if its normalization is `stats`.

    Raises DataError if there are none, or if they were measured on other items than the run trains on. The
    latter is only a warning for a file in data.dict_stats: a network is fine-tuned with the statistics of its
    pre-training.
    """
    if dataset.normalization.kind != "stats":
        return dataset
    file = run.stats_file(dataset.name)
    advice = f"find them with: ucf-vit stats {run.source_path} (and the overrides of this run, if any)"
    if not file.is_file():
        raise DataError(f"{dataset.name}: no statistics of its training items in {file}; {advice}")
    statistics = read(file)
    if not held_out and statistics.fingerprint != fingerprint(dataset.items):
        other = f"{dataset.name}: the statistics in {file} are of other items than those that train"
        if dataset.name not in run.data.dict_stats:
            raise DataError(f"{other}; {advice} and --overwrite")
        log.warning("%s (%d items, %d train)", other, statistics.done, len(dataset.items))
    if how := statistics.mismatch(dataset):
        raise DataError(
            f"{dataset.name}: the statistics in {file} were measured with {how}; {advice} and --overwrite"
        )
    try:
        return replace(dataset, normalization=statistics.normalization(dataset))
    except DataError as error:
        raise DataError(f"{file}: {error}; {advice}") from None


def find_statistics(
    dataset: Dataset,
    run: Run,
    *,
    overwrite: bool = False,
    on_item: Callable[[int, int], None] = lambda done, total: None,
) -> Statistics:
    """Measures the variables of a training data set that its statistics file lacks, and writes the file.

    `on_item` is called with the number of measured items and their total. A call that was killed is resumed:
    partial results are saved beside the file. Raises UserError if the file cannot be written, or if it holds
    statistics of other items and `overwrite` is not set; DataError if an item cannot be read.
    """
    file = run.stats_file(dataset.name)
    total, nothing = len(dataset.items), Statistics.of(dataset, len(dataset.items))
    if not total:
        raise DataError(f"{dataset.name}: no training item; widen data.dict_start_idx to data.dict_end_idx")
    known = read(file) if file.is_file() and not overwrite else nothing
    how = known.mismatch(dataset)
    if known.fingerprint != nothing.fingerprint or how:
        other = f"statistics measured with {how}" if how else f"the statistics of {known.done} other items"
        raise UserError(
            f"{file} has {other}; replace them with --overwrite, or name another file in "
            f"data.dict_stats.{dataset.name}"
        )
    wanted = [name for name in dataset.variables if name not in known.variables]
    measured = nothing
    for measured in _steps(dataset, file, wanted, run.data.on_error) if wanted else ():
        on_item(measured.done, total)
    merged = replace(
        known,
        variables={**known.variables, **measured.variables},
        channels={**known.channels, **measured.channels},
    )
    merged.normalization(dataset)
    _write(file, merged)
    _partial(file).unlink(missing_ok=True)
    return merged


def _steps(
    dataset: Dataset, file: Path, wanted: list[str], on_error: Literal["fail", "skip"]
) -> Iterator[Statistics]:
    """Yields the statistics after each item, starting with those of an earlier call; saves them regularly."""
    start = Statistics.of(dataset, names=wanted)
    aside = _partial(file)
    if aside.is_file():
        before = read(aside)
        same = before.fingerprint == start.fingerprint and list(before.variables) == wanted
        if same and not before.mismatch(dataset):
            start = before
            log.info("%s: resumed after item %d of %d", file, start.done, len(dataset.items))
    _write(aside, start)
    yield start
    saved = time.monotonic()
    for statistics in measure(dataset, start, on_error):
        if time.monotonic() - saved >= SAVE_SECONDS:
            _write(aside, statistics)
            saved = time.monotonic()
        yield statistics


def read(file: Path) -> Statistics:
    """Reads a file that `find_statistics` has written. Raises DataError if the file holds something else."""
    with reading(str(file), "no statistics as `ucf-vit stats` writes them"):
        content = json.loads(read_text(file))
        variables = {
            name: Moments(int(one["values"]), float(one["mean"]), float(one["squares"]))
            for name, one in content["variables"].items()
        }
        for name, one in variables.items():
            if one.number < 0 or not 0 <= one.squares < math.inf or not math.isfinite(one.mean):
                raise ValueError(f"{name} has {one}")
        channels = {
            name: int(one["channel"]) for name, one in content["variables"].items() if "channel" in one
        }
        options = dict(content.get("options", {}))
        return Statistics(str(content["fingerprint"]), int(content["items"]), variables, options, channels)


def _write(file: Path, statistics: Statistics) -> None:
    variables = {
        name: {"mean": one.mean, "std": one.std, "values": one.number, "squares": one.squares}
        | ({"channel": statistics.channels[name]} if name in statistics.channels else {})
        for name, one in statistics.variables.items()
    }
    content = {
        "items": statistics.done,
        "fingerprint": statistics.fingerprint,
        "options": dict(statistics.options),
        "variables": variables,
    }
    try:
        write_atomic(file, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"{file}: can't be written ({error}); name another in data.dict_stats") from None


def _partial(file: Path) -> Path:
    return file.with_name(f"{file.name}.partial")

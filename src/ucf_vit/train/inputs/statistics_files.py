"""The statistics files of a run: found once, used by every run that normalises by them."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

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
"""At most so much work is lost when `find_statistics` is killed."""


def with_statistics(dataset: Dataset, run: Run, held_out: bool) -> Dataset:
    """The same data set, normalised by the statistics of the run if it is to be.

    Raises DataError where there are none, or where they are of other items than the run trains on. In a file
    that data.dict_stats names they may be: a network is fine-tuned with the statistics of its pre-training.
    """
    if dataset.normalization.kind != "stats":
        return dataset
    file = run.stats_file(dataset.name)
    advice = f"find them with: ucf-vit stats {run.source_path} (and the overrides of this run, if any)"
    if not file.is_file():
        raise DataError(f"{dataset.name}: no statistics of its training items in {file}; {advice}")
    found = read(file)
    if not held_out and found.fingerprint != fingerprint(dataset.items):
        other = f"{dataset.name}: the statistics in {file} are of other items than those that train"
        if dataset.name not in run.data.dict_stats:
            raise DataError(f"{other}; {advice} and --overwrite")
        log.warning("%s (%d items, %d train)", other, found.done, len(dataset.items))
    if how := found.mismatch(dataset):
        raise DataError(
            f"{dataset.name}: the statistics in {file} were measured with {how}; {advice} and --overwrite"
        )
    try:
        return replace(dataset, normalization=found.normalization(dataset))
    except DataError as error:
        raise DataError(f"{file}: {error}; {advice}") from None


def find_statistics(
    dataset: Dataset,
    run: Run,
    *,
    overwrite: bool = False,
    on_item: Callable[[int, int], None] = lambda done, total: None,
) -> Statistics:
    """Measure those variables of a training data set that its file has no statistics of, and write the file.

    `on_item` is given how many items are done, of how many. A call that was killed is taken up where it was:
    what is found so far lies beside the file. Raises UserError where the file can't be written, or would
    lose the statistics of other items, which `overwrite` allows; DataError where an item can't be read.
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
    found = nothing
    for found in _steps(dataset, file, wanted, run) if wanted else ():
        on_item(found.done, total)
    merged = replace(
        known,
        variables={**known.variables, **found.variables},
        channels={**known.channels, **found.channels},
    )
    merged.normalization(dataset)
    _write(file, merged)
    _partial(file).unlink(missing_ok=True)
    return merged


def _steps(dataset: Dataset, file: Path, wanted: list[str], run: Run) -> Iterator[Statistics]:
    """The statistics after every item, saved now and then; the first are those of an earlier call."""
    start = Statistics.of(dataset, names=wanted)
    aside = _partial(file)
    if aside.is_file():
        before = read(aside)
        same = before.fingerprint == start.fingerprint and list(before.variables) == wanted
        if same and not before.mismatch(dataset):
            start = before
            log.info("%s: goes on after item %d of %d", file, start.done, len(dataset.items))
    _write(aside, start)
    yield start
    saved = time.monotonic()
    for found in measure(dataset, start, run.data.on_error):
        if time.monotonic() - saved >= SAVE_SECONDS:
            _write(aside, found)
            saved = time.monotonic()
        yield found


def read(file: Path) -> Statistics:
    """Reads a file of `find_statistics`. Raises DataError if the file holds something else."""
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

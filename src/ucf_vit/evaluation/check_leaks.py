"""Copies of the items of one collection in another, such as of what a run was trained on in new data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ucf_vit import checkpoint
from ucf_vit.config import Run, Split
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.files.urls import is_remote, name_of
from ucf_vit.data.build_dataset import build_dataset, make_source
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import fingerprints
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.leaks.compare import COLUMNS, Copy, Rows, copies, sign, without_values
from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage import Cache, Files, join
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.inputs.source_options import source_options
from ucf_vit.training.inputs.used_items import used_items
from ucf_vit.training.saved_runs.open_run import find_run, read_checkpoint

UNNAMED = "an item that was trained on"


@dataclass(frozen=True)
class Leaks:
    """Copies found among `total` items, each as `NAME = NAME (how)`."""

    total: int
    found: Sequence[str]


@dataclass(frozen=True)
class Reading:
    """How the items of a plain root are read: as the data set of a config, or by source and variables."""

    dataset: str | None = None
    variables: Sequence[str] | None = None
    run: Run | None = None

    def of(self, root: str) -> Dataset:
        """Returns all items at `root`. Raises UserError where it is not said how to read them."""
        scratch = Scratch()
        files = Files(Cache(scratch))
        if self.run is not None and self.dataset is None:
            name = self.run.datasets[0]
            source, variables = self.run.data.dataset, self.run.data.dict_in_variables[name]
            tile, options = self.run.spatial_tile, source_options(self.run, name)
            same: dict[str, Any] = {
                "variables": variables,
                "options": options,
                "scratch": scratch,
                "files": files,
            }
            return build_dataset(name_of(root), source, root, tile_size=tile, labels=False, **same)
        kind = self.dataset or ("prepared" if files.exists(join(root, manifest.FILE)) else None)
        if kind is None:
            raise UserError(
                f"{root}: say how to read it with --dataset: {', '.join(SOURCES)}, or path/to/file.py:Class"
            )
        made, _ = make_source(kind, root, (1, 1, 1), self.variables, None, scratch, files)
        tile = (1,) * made.spatial_dims
        given: dict[str, Any] = {"variables": self.variables, "scratch": scratch, "files": files}
        return build_dataset(name_of(root), kind, root, tile_size=tile, labels=False, **given)


def check_leaks(first: str, second: str, reading: Reading, overrides: Sequence[str] = ()) -> Leaks:
    """Returns the items of `second` that are copies of items of `first`, exact or altered.

    Each is a config, a run or checkpoint, or the root of a data set. Of a config, the training items are
    `first` and the held-out ones `second`; of a run that is `first`, what its checkpoint was trained on.
    """
    runs = [_run(path, overrides) for path in (first, second)]
    reading = Reading(reading.dataset, reading.variables, next((run for run in runs if run), None))
    known, name_of_known = _known(first, runs[0], reading)
    held_out = _held_out(second, runs[1], reading)
    lines: list[str] = []
    total = 0
    for one in held_out:
        total += len(one.items)
        rows = without_values(fingerprints(one))
        lines += [_told(one, copy, name_of_known) for copy in copies(one, rows, {"known": known})["known"]]
    return Leaks(total, lines)


def _told(dataset: Dataset, copy: Copy, name_of_known: Callable[[int], str]) -> str:
    return f"{dataset.items[copy.item].key} = {name_of_known(copy.other)} ({copy.how})"


def _run(path: str, overrides: Sequence[str]) -> Run | None:
    """Returns the run that a path means; None for the root of a data set."""
    place = Path(path)
    if is_remote(path) or not (place.suffix in (".yaml", ".yml") or _is_of_run(place)):
        return None
    return find_run(place, overrides).run


def _is_of_run(place: Path) -> bool:
    inside = (place / "run.json").is_file() or (place / checkpoint.META).is_file()
    return inside or checkpoint.newest_slot(place.absolute().parent, place.name) is not None


def _known(path: str, run: Run | None, reading: Reading) -> tuple[Rows, Callable[[int], str]]:
    """Returns the rows of the first side, and the function that names one of them."""
    if run is not None and Path(path).suffix not in (".yaml", ".yml"):
        place = find_run(Path(path))
        read = read_checkpoint(place.directory, place.name)
        used = used_items(read.state)
        rows = [used[use] for use in ("trained", "pretrained") if use in used]
        if not rows:
            raise UserError(f"{read.directory}: does not keep which items it was trained on")
        return np.concatenate(rows), lambda number: UNNAMED
    if run is None:
        datasets: Sequence[Dataset] = [reading.of(path_or_url(path))]
    else:
        datasets = _items(run, "training")
    rows = [without_values(fingerprints(one)) for one in datasets]
    for one, some in zip(datasets, rows, strict=True):
        sign(one, some)
    names = [item.key for one in datasets for item in one.items]
    return np.concatenate([*rows, np.zeros((0, COLUMNS), np.int64)]), names.__getitem__


def _held_out(path: str, run: Run | None, reading: Reading) -> Sequence[Dataset]:
    if run is None:
        return [reading.of(path_or_url(path))]
    items = [*_items(run, "validation"), *_items(run, "test")]
    if not items:
        raise UserError(f"{path}: holds nothing out; set data.split, data.validation or data.test")
    return items


def _items(run: Run, split: Split) -> Sequence[Dataset]:
    return [one for one in build_datasets(run, Scratch(), split, statistics=False) if one.items]

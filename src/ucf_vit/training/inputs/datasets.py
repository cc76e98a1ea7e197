"""Builds the data sets that a config describes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ucf_vit.config import Run, Split
from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import ReadShapes, build_dataset
from ucf_vit.data.class_names import in_words, numbered
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.sources import SOURCES, Source
from ucf_vit.data.splits.assignment import Assignment
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.grids import grid_options, with_spacing
from ucf_vit.training.inputs.source_options import remote_files, source_options
from ucf_vit.training.inputs.splits import arrangement, assigned
from ucf_vit.training.inputs.statistics_files import with_statistics

log = logging.getLogger(__name__)

OWN_KEYS = {
    "root": "data.dict_root_dirs",
    "variables": "data.dict_in_variables",
    "tile_dims": "input.tile_size",
    "label_geometry": "data.label_geometry",
    "resize": "dataset_options.imagenet_resize",
    "fill_value": "dataset_options.fields_fill_value",
    "files": "data.cache_dir",
    "scratch": "data.cache_dir",
}
"""Options of sources that other keys of a config set."""


@dataclass(frozen=True)
class Part:
    """Range of the files at `root`, from fraction `start` to `end`, to be read as the data set `name`.

    `split` is the split that the files are in; None: all files, whatever split they are in. `source`, or the
    source of this name, reads them; None: `data.dataset`.
    """

    name: str
    root: str
    start: float = 0.0
    end: float = 1.0
    split: Split | None = None
    source: str | Source | None = None


def build_datasets(
    run: Run,
    scratch: Scratch,
    split: Split = "training",
    *,
    parts: Sequence[Part] | None = None,
    record: Record | None = None,
    statistics: bool = True,
    labels: bool = True,
    read_shapes: Callable[[str], ReadShapes] | None = None,
    files: Files | None = None,
) -> list[Dataset]:
    """Returns the data sets of a run that have files for `split`, or those in `parts`.

    With the `record` of a checkpoint, class numbers, normalization and, with `data.split`, the items of a
    split are those of the record. Without one, each source numbers its classes, and normalization `stats`
    reads the run's statistics file; without `statistics` it is left open, for data sets whose statistics are
    to be measured. Without `labels` no item has one, whatever the task learns from. `read_shapes` returns,
    for the name of a data set, the function that reads its shapes (default: reads every header). `files`
    opens files (default: with the cache that the config describes).
    """
    files = files or remote_files(run.data, scratch)
    _check_source(run)
    run = resolved(run, scratch, record, files)
    assignment = None
    if parts is None:
        assignment = assigned(run, scratch, files, None if record is None else record.splits)
        parts = _parts(run, split, assignment)
    datasets = []
    for part in parts:
        shapes = None if read_shapes is None else read_shapes(part.name)
        one = _build(run, part, split, scratch, files, shapes, assignment, labels and run.learns_labels)
        datasets.append(_as_recorded(one, run, split, record) if statistics else one)
    return datasets


def resolved(run: Run, scratch: Scratch, record: Record | None = None, files: Files | None = None) -> Run:
    """Returns the run with numbers in place of the spacing "median", see `with_spacing`."""
    return with_spacing(
        run,
        record,
        lambda stored: build_datasets(stored, scratch, record=record, statistics=False, files=files),
    )


def _parts(run: Run, split: Split, assignment: Assignment | None) -> list[Part]:
    parts = [Part(name, *run.data.part(name, split), split) for name in run.having(split)]
    if assignment is None:
        return parts
    return [one for one in parts if run.data.root(one.name, split) or assignment.has(one.name, split)]


def _build(
    run: Run,
    part: Part,
    split: Split,
    scratch: Scratch,
    files: Files,
    read_shapes: ReadShapes | None,
    assignment: Assignment | None,
    labels: bool,
) -> Dataset:
    data, name = run.data, part.name
    source = part.source or data.dataset
    given = data.dict_normalization.get(name)
    return build_dataset(
        name,
        source,
        part.root,
        tile_size=run.spatial_tile,
        start=part.start,
        end=part.end,
        arrange=arrangement(run, part.name, part.split, assignment, part.root),
        variables=data.dict_in_variables[name],
        channels_used=data.num_channels_used.get(name),
        channels_available=data.num_channels_available.get(name),
        overlap=data.tile_overlap,
        use_all=data.use_all_data or split != "training",
        small_images=data.small_images,
        labels=labels,
        num_classes=run.num_classes if labels else None,
        normalization=None if given is None else given.model_dump(),
        nan=data.dict_nan.get(name),
        label_mapping=data.dict_label_mapping.get(name),
        ignore_label=data.ignore_label,
        buffer_size=data.dict_buffer_sizes[name],
        options=source_options(run, name, source) if isinstance(source, str) else None,
        grid=grid_options(run),
        on_error=data.on_error,
        scratch=scratch,
        files=files,
        read_shapes=read_shapes,
    )


def _as_recorded(dataset: Dataset, run: Run, split: Split, record: Record | None) -> Dataset:
    """Returns `dataset` with the class numbers and the normalization of `record`.

    A normalization that the config gives takes precedence.
    """
    if record is not None:
        dataset = numbered(dataset, record.class_names)
        given = run.data.dict_normalization.get(dataset.name)
        known = record.normalization(dataset)
        if known is not None and (given is None or given.kind == "stats"):
            return replace(dataset, normalization=known)
    return with_statistics(dataset, run, split != "training")


def _check_source(run: Run) -> None:
    """Raises ConfigError if there is no such source, or if it lacks an option that the config gives."""
    source, geometry = run.data.dataset, run.data.label_geometry
    try:
        SOURCES[source]
    except DataError as unknown:
        raise run.error("data.dataset", str(unknown), source) from None
    if geometry != "refuse":
        try:
            SOURCES.arguments(source, {"label_geometry": geometry}, {"root": ""})
        except DataError as refused:
            raise run.error("data.label_geometry", str(refused), geometry) from None
    for name, options in run.data.dict_options.items():
        key = f"data.dict_options.{name}"
        for option in options.keys() & OWN_KEYS.keys():
            raise run.error(f"{key}.{option}", f"has a key of its own: {OWN_KEYS[option]}", options[option])
        try:
            SOURCES.arguments(source, options, {"root": ""})
        except DataError as refused:
            raise run.error(key, str(refused), options) from None


def check_classes(run: Run, datasets: Sequence[Dataset], names: Sequence[str], first: Sequence[str]) -> None:
    """Raises ConfigError if a task with one class per image gets labels per voxel, or too many classes.

    `names` are the names of all classes, `first` those of the weights that the run starts from.
    """
    if run.label_kind != "image":
        return
    for one in datasets:
        if any(item.label is not None and item.class_index is None for item in one.items[:1]):
            message = (
                f"{one.name} has a class per voxel, not one per image; use a source with classes (imagenet)"
            )
            raise run.error("data.dataset", message, run.data.dataset)
    if len(names) > run.num_classes:
        where = "the data sets together" + (" and trainer.start_from" if first else "")
        advice = "; trainer.start_without=[head] leaves those of the weights out" if first else ""
        message = f"{where} have {len(names)} classes: {in_words(names)}{advice}"
        raise run.error("data.num_classes", message, run.num_classes)

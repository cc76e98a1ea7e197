"""From a config to its data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError
from ucf_vit.data.build import ReadShapes, build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources import resolve
from ucf_vit.data.storage import Cache, Files
from ucf_vit.train.statistics import with_statistics


def build_datasets(
    run: Run,
    scratch: Scratch,
    held_out: bool = False,
    statistics: bool = True,
    read_shapes: Callable[[str], ReadShapes] | None = None,
    files: Files | None = None,
) -> list[Dataset]:
    """The data sets of a run: their training range, or the one held out for validation.

    Without `statistics`, normalization `stats` stays as it is: these data sets are there to be measured.
    `read_shapes` gives what finds the shapes of a data set (default: every header is read). `files` reads
    them (default: with a cache as the config says).
    """
    data = run.data
    files = files or remote_files(run, scratch)
    try:
        resolve(data.dataset)
    except DataError as unknown:
        raise run.error("data.dataset", str(unknown), data.dataset) from None
    starts, ends = (
        (data.dict_val_start_idx, data.dict_val_end_idx)
        if held_out
        else (data.dict_start_idx, data.dict_end_idx)
    )
    datasets = [
        build_dataset(
            name,
            data.dataset,
            root,
            tile_size=run.spatial_tile,
            start=starts[name],
            end=ends[name],
            variables=data.dict_in_variables[name],
            channels_used=data.num_channels_used.get(name),
            channels_available=data.num_channels_available.get(name),
            overlap=data.tile_overlap,
            use_all=data.use_all_data or held_out,
            small_images=data.small_images,
            labels=run.learns_labels,
            num_classes=run.num_classes if run.learns_labels else None,
            normalization=data.dict_normalization[name].model_dump()
            if name in data.dict_normalization
            else None,
            nan=data.dict_nan.get(name),
            label_mapping=data.dict_label_mapping.get(name),
            ignore_label=data.ignore_label,
            buffer_size=data.dict_buffer_sizes[name],
            options=source_options(run, name),
            on_error=data.on_error,
            scratch=scratch,
            files=files,
            read_shapes=None if read_shapes is None else read_shapes(name),
        )
        for name, root in data.dict_root_dirs.items()
    ]
    return [with_statistics(one, run, held_out) for one in datasets] if statistics else datasets


def source_options(run: Run, name: str) -> dict[str, Any]:
    """What the source of a data set is given if its constructor takes it."""
    return {
        "resize": run.dataset_options.imagenet_resize.get(name),
        "fill_value": run.dataset_options.fields_fill_value.get(name),
        "tile_dims": len(run.spatial_tile),
        "label_geometry": run.data.label_geometry,
    }


def remote_files(run: Run, scratch: Scratch) -> Files:
    """What reads paths and URLs, with a cache and a limit as the config says."""
    cache = Cache.at(run.data.cache_dir, run.data.cache_size, scratch)
    return Files(cache, max_item_bytes=run.data.max_item_bytes)


def check_classes(run: Run, datasets: Sequence[Dataset]) -> None:
    """ConfigError where images are to have a class each, and the files have one for each voxel."""
    if run.task != "classification" and not (run.task == "diffusion" and "class" in run.model.conditions):
        return
    for one in datasets:
        if any(item.label is not None and item.class_index is None for item in one.items[:1]):
            message = (
                f"{one.name} has a class per voxel, not one per image; use a source with classes (imagenet)"
            )
            raise run.error("data.dataset", message, run.data.dataset)

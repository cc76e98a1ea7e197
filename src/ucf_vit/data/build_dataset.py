"""Builds a `Dataset` from the name of a source and plain options, and checks it before a tile is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import checked
from ucf_vit.core.lists import first_few
from ucf_vit.core.rounding import part_of
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.batch import Skipped
from ucf_vit.data.check_dataset import check_arrays, check_channels, check_classes, check_small, check_tiles
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.read_item import shape_of
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import SOURCES, Item, Source
from ucf_vit.data.sources.regridded import on_grid
from ucf_vit.data.sources.source import describe
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.patching.tiles import Tiling

log = logging.getLogger(__name__)

ReadShape = Callable[[Item], tuple[int, ...] | Exception]
ReadShapes = Callable[[Sequence[Item], ReadShape], Sequence[tuple[int, ...] | Exception]]
"""Function that returns the shapes of items, given a function that reads the shape of one."""


def build_dataset(
    name: str,
    source: str | Source,
    root: str | Path,
    *,
    tile_size: Sequence[int],
    start: float = 0.0,
    end: float = 1.0,
    arrange: Callable[[Sequence[Item]], Sequence[Item]] = lambda items: items,
    variables: Sequence[str] | None = None,
    channels_used: int | None = None,
    channels_available: int | None = None,
    overlap: float = 0.0,
    use_all: bool = False,
    small_images: Literal["pad", "refuse"] | None = "pad",
    labels: bool = True,
    num_classes: int | None = None,
    normalization: Mapping[str, Any] | None = None,
    nan: float | None = None,
    label_mapping: Mapping[int | str, int] | None = None,
    ignore_label: int | None = None,
    buffer_size: int = 0,
    options: Mapping[str, Any] | None = None,
    grid: GridOptions | None = None,
    on_error: Literal["fail", "skip"] = "fail",
    scratch: Scratch | None = None,
    files: Files | None = None,
    read_shapes: ReadShapes | None = None,
) -> Dataset:
    """Returns the data set of items `part_of(n, start)` to `part_of(n, end)` of each stratum of a source.

    `source` is the name of a source, which is made with `root` and `options`, or a source.
    Before, `arrange` picks among all items and may complete them, as with their groups.
    `variables` names the channels of the files (default: the source's own names); the first `channels_used`
    of them are used. A `tile_size` `[H, W]` cuts volumes into 2D slices along their last axis. With `labels`
    every item needs a label (with `on_error` "skip" items without one are left out); without, labels are not
    read. `label_mapping` and `ignore_label` are passed to `LabelMap.of`. `options` are passed to the source's
    constructor (`resize`, ...), which has to take them. `root` is a directory or a URL, read through `files`.
    `normalization` is `{"kind": ..., ...}` (default: the source's own); `nan` is the number that replaces NaN
    in images. `grid` is the grid on which items are used (default: as stored).
    `read_shapes` returns the shapes of all items (default: read every header, in threads; an inventory
    already knows them). Raises DataError.
    """
    scratch = scratch or Scratch()
    files = files or Files(Cache(scratch))
    made, origin = (
        make_source(source, root, tile_size, variables, options, scratch, files)
        if isinstance(source, str)
        else (source, None)
    )
    grid = grid or GridOptions()
    made = on_grid(made, grid, scratch, files, {} if origin is None else origin[1])
    channels = _channels(name, made, variables, channels_used)
    with reading(str(root)):
        everything = made.items()
    listed = describe(made, everything)
    items, bare = _labelled(name, select(arrange(everything), start, end), labels, on_error, listed)
    check_classes(name, made, num_classes if labels else None)
    check_arrays(name, made, tile_size)
    shapes, unreadable = _shapes(made, items, on_error, read_shapes, files.max_item_bytes)
    for remark in made.remarks():
        log.warning("%s: %s", name, remark)
    size, slices = _tile_size(name, made, tile_size)
    dataset = Dataset(
        name=name,
        source=made,
        items=tuple(item for item, _ in shapes),
        tilings=_tilings([shape[1:] for _, shape in shapes], size, overlap, use_all),
        tile_size=tuple(tile_size),
        channels=channels,
        normalization=_normalization(made, normalization, nan),
        scratch=scratch,
        files=files,
        class_names=tuple(made.class_names),
        slices=slices,
        label_map=LabelMap.of(label_mapping, ignore_label),
        num_classes=num_classes,
        buffer_size=buffer_size,
        skipped=(*bare, *unreadable),
        origin=origin,
        listed=listed,
        grid=grid,
    )
    check_channels(dataset, [shape[0] for _, shape in shapes], channels_available)
    check_tiles(dataset)
    if small_images is not None:
        check_small(dataset, small_images)
    return dataset


def select(items: Sequence[Item], start: float, end: float) -> list[Item]:
    """Returns items `part_of(n, start)` to `part_of(n, end)` of each stratum of n items.

    Adjacent ranges never overlap.
    """
    if not 0 <= start <= end <= 1:
        raise DataError(f"index range {start} to {end}: expected 0 <= start <= end <= 1")
    strata: dict[str, list[Item]] = {}
    for item in items:
        strata.setdefault(item.stratum, []).append(item)
    return [i for s in strata.values() for i in s[part_of(len(s), start) : part_of(len(s), end)]]


def make_source(
    source: str,
    root: str | Path,
    tile_size: Sequence[int],
    variables: Sequence[str] | None,
    options: Mapping[str, Any] | None,
    scratch: Scratch,
    files: Files,
) -> tuple[Source, tuple[str, Mapping[str, Any]]]:
    """Returns the source, and the name and arguments that make it again in a worker process."""
    offered = {"root": checked(str(root)), "scratch": scratch, "files": files, "tile_dims": len(tile_size)}
    if variables is not None:
        offered["variables"] = tuple(variables)
    arguments = SOURCES.arguments(source, options or {}, offered)
    with reading(str(arguments.get("root", source))):
        return SOURCES[source](**arguments), (source, arguments)


def _channels(
    name: str, source: Source, variables: Sequence[str] | None, used: int | None
) -> tuple[int, ...]:
    wanted = tuple(variables or source.variables)
    if used is not None:
        if not 1 <= used <= len(wanted):
            raise DataError(f"{name}: {used} channels to be used of {len(wanted)}: {', '.join(wanted)}")
        wanted = wanted[:used]
    for variable in wanted:
        if variable not in source.variables:
            known = list(source.variables)
            hint = did_you_mean(variable, known)
            raise DataError(f"{name}: no variable {variable!r}{hint}; the source has {', '.join(known)}")
    return tuple(source.variables.index(variable) for variable in wanted)


def _labelled(
    name: str, items: list[Item], labels: bool, on_error: str, listed: str
) -> tuple[list[Item], list[Skipped]]:
    """Returns the items that have the labels needed, and those that were left out."""
    if not labels:
        return [replace(item, label=None, class_index=None) for item in items], []
    bare = [item for item in items if item.label is None and item.class_index is None]
    if bare and (on_error == "fail" or len(bare) == len(items)):
        advice = "" if len(bare) == len(items) else "; data.on_error=skip leaves them out"
        names = first_few([item.image for item in bare])
        raise DataError(f"{name}: no label for {len(bare)} of {len(items)} items: {names} ({listed}){advice}")
    kept = [item for item in items if item.label is not None or item.class_index is not None]
    return kept, [Skipped(item.image, f"{item.image}: no label") for item in bare]


def _shapes(
    source: Source,
    items: Sequence[Item],
    on_error: str,
    read_shapes: ReadShapes | None,
    max_bytes: int | None,
) -> tuple[list[tuple[Item, tuple[int, ...]]], tuple[Skipped, ...]]:
    """Returns the items with the shapes in their headers, and the unreadable ones that were skipped."""
    one = partial(_shape, source, max_bytes)
    shapes = map_in_threads(one, items) if read_shapes is None else read_shapes(items, one)
    good: list[tuple[Item, tuple[int, ...]]] = []
    errors: list[tuple[Item, Exception]] = []
    for item, shape in zip(items, shapes, strict=True):
        if isinstance(shape, Exception):
            errors.append((item, shape))
        else:
            good.append((item, shape))
    if errors and on_error == "fail":
        raise _together(errors)
    skipped = [Skipped(item.image, str(error)) for item, error in errors]
    if skipped and not good:
        raise DataError(f"none of {len(items)} items can be read; the first error: {skipped[0].cause}")
    return good, tuple(skipped)


def _together(errors: Sequence[tuple[Item, Exception]]) -> Exception:
    """Returns the first error; of several one that names the files of the others too."""
    (_, first), *others = errors
    if not others:
        return first
    names = first_few([item.image for item, _ in others], 5)
    return DataError(f"{first}; {len(others)} more item(s) can't be used: {names}")


def _shape(source: Source, max_bytes: int | None, item: Item) -> tuple[int, ...] | DataError:
    try:
        return shape_of(source, item, max_bytes)
    except DataError as error:
        return error


def _tile_size(name: str, source: Source, tile_size: Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """Returns the tile size along all axes of the source, and whether tiles are 2D slices of volumes."""
    missing = source.spatial_dims - len(tile_size)
    if missing == 0:
        return tuple(tile_size), False
    if missing == 1 and source.spatial_dims == 3:
        return (*tile_size, 1), True
    raise DataError(
        f"{name}: tile_size {list(tile_size)} has {len(tile_size)} entries, the data has "
        f"{source.spatial_dims} axes"
    )


def _tilings(
    shapes: Sequence[tuple[int, ...]], size: tuple[int, ...], overlap: float, use_all: bool
) -> tuple[Tiling, ...]:
    known = {shape: Tiling(shape, size, overlap, use_all) for shape in set(shapes)}
    return tuple(known[shape] for shape in shapes)


def _normalization(source: Source, given: Mapping[str, Any] | None, nan: float | None) -> Normalization:
    missing = source.missing and nan is None
    if given is None:
        return replace(source.normalization, missing=missing, nan=nan)
    options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return Normalization(**options, missing=missing, nan=nan)

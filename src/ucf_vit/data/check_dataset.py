"""Checks of a data set before its first tile is read: classes, channels, tiles."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.limits import memory
from ucf_vit.data.sources import Source

log = logging.getLogger(__name__)

RESERVED = ("image", "label")
ORDER_BYTES = 16
"""Least memory per tile that shuffling an epoch takes, in bytes."""


def check_classes(name: str, source: Source, num_classes: int | None) -> None:
    """Raises DataError where the source names more classes of whole items than `num_classes`."""
    names = source.class_names
    if num_classes is not None and len(names) > num_classes:
        shown = first_few(names, 5)
        raise DataError(f"{name}: {len(names)} classes found ({shown}), num_classes is {num_classes}")


def check_channels(dataset: Dataset, channels: Sequence[int], available: int | None) -> None:
    """Raises DataError where files do not have `available` channels (None: as many as each other).

    `channels` `[N]` is the number of channels of each item. Channels without a name are told: none is used.
    """
    normalization = dataset.normalization
    if normalization.kind == "mean_std" and 1 < len(normalization.mean) <= max(dataset.channels):
        raise DataError(
            f"{dataset.name}: normalization has {len(normalization.mean)} means for the variables "
            + ", ".join(dataset.source.variables)
        )
    needed = max(dataset.channels) + 1
    wrong = [
        (item.image, count)
        for item, count in zip(dataset.items, channels, strict=True)
        if count < needed or available not in (None, count)
    ]
    if not wrong:
        _check_equal(dataset, channels)
        return
    (file, count), *others = wrong
    expected = f"needs {needed}"
    if available not in (None, count):
        expected = f"num_channels_available says {available}"
    more = (
        f"; {len(others)} more file(s) do not fit: {first_few([f for f, _ in others], 5)}" if others else ""
    )
    raise DataError(f"{file}: has {count} channel(s), {expected}{more}")


def _check_equal(dataset: Dataset, channels: Sequence[int]) -> None:
    """Raises DataError where files differ in their number of channels; tells how many have no name."""
    first = {count: item.image for item, count in zip(dataset.items, channels, strict=True)}
    names = dataset.source.variables
    if len(first) > 1:
        examples = ", ".join(f"{count} in {file}" for count, file in sorted(first.items()))
        raise DataError(
            f"{dataset.name}: files have different numbers of channels: {examples}; move those of one kind "
            "to a data set of their own"
        )
    for count in first:
        if count > len(names):
            log.info(
                "%s: files have %d channels, and names only for the first: %s",
                *(dataset.name, count, ", ".join(names)),
            )


def check_arrays(name: str, source: Source, tile_size: Sequence[int]) -> None:
    """Raises DataError where an array that the source declares has a reserved name or an unfit size."""
    for array, spec in source.arrays.items():
        if not array.isidentifier() or array in RESERVED:
            raise DataError(
                f"{name}: the source declares an array named {array!r}; expected an identifier other than "
                + " and ".join(RESERVED)
            )
        if spec.size is not None and len(spec.size) != len(tile_size):
            raise DataError(
                f"{name}: array {array!r} has the size {spec.size}; expected {len(tile_size)} axes as in the "
                f"tile {tuple(tile_size)}"
            )


def check_tiles(dataset: Dataset) -> None:
    """Raises DataError where the order of an epoch would not fit into memory."""
    if not len(dataset.items):
        return
    needed = ORDER_BYTES * len(dataset)
    if needed > memory():
        most = int(dataset.counts.argmax())
        raise DataError(
            f"{dataset.items[most].image}: by its header it has {dataset.counts[most]:,} tiles of "
            f"{dataset.tile_size}; the order of the {len(dataset):,} in {dataset.name} takes {needed:,} "
            "bytes, more than the memory of this machine. If the header is right, use larger "
            "tiles or a coarser data.spacing"
        )


def check_small(dataset: Dataset, small_images: str) -> None:
    """Logs once which images are smaller than a tile; raises DataError with `small_images` "refuse"."""
    pairs = zip(dataset.items, dataset.tilings, strict=True)
    small = [(item.image, tiling.shape) for item, tiling in pairs if tiling.padded]
    if not small:
        return
    file, shape = small[0]
    if small_images == "refuse":
        raise DataError(f"{file}: shape {shape} is smaller than the tile {dataset.tile_size}")
    log.info(
        "%s: %d of %d images are smaller than the tile %s and are padded with 0 at their end (%s: %s)",
        *(dataset.name, len(small), len(dataset.items), dataset.tile_size, file, shape),
    )

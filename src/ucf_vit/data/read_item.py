"""Reads items of a source; every failure becomes a DataError with the file and the item's key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.data.limits import check_plain, check_size
from ucf_vit.data.reading import failure_of
from ucf_vit.data.sources import Item, Source

_LARGEST = 2**52
"""Largest number of values per item, so that tiles can be counted: some petabytes."""


@contextmanager
def reading_item(item: Item) -> Iterator[None]:
    """Turns any exception into a DataError that names a file of the item and its key."""
    try:
        yield
    except DataError as error:
        if (text := _named(item, str(error))) == str(error):
            raise
        raise DataError(text) from error
    except UserError:
        raise
    except Exception as error:
        raise DataError(_named(item, failure_of(error))) from error


def shape_of(source: Source, item: Item, max_bytes: int | None = None) -> tuple[int, ...]:
    """Returns the shape `(C, *S)` of an item from its header.

    Raises DataError with a file of the item, also for a pipe or a device in place of a file, for a shape that
    no image has, and for more than `max_bytes` as float32.
    """
    with reading_item(item):
        for file in (item.image, item.label):
            if file is not None:
                check_plain(file)
        shape = tuple(map(int, source.shape(item)))
        if len(shape) != source.spatial_dims + 1 or min(shape) < 1 or math.prod(shape) > _LARGEST:
            raise ValueError(f"its header says {shape}; expected channels and {source.spatial_dims} sides")
        if max_bytes is not None:
            check_size(item.image, 4 * math.prod(shape), max_bytes)
    return shape


def read_sample(
    source: Source,
    item: Item,
    region: tuple[slice, ...] | None = None,
    channels: Sequence[int] | None = None,
) -> Sample:
    """Calls `source.read`. Raises DataError with a file of the item, also for values that are not real."""
    with reading_item(item):
        sample = source.read(item, region, channels)
        for array in sample.arrays.values():
            if array.dtype.kind not in "biuf":
                raise ValueError(f"holds {array.dtype}, expected real numbers")
    return sample


def _named(item: Item, text: str) -> str:
    """Returns `text` with the item's key and, unless it names one, a file of the item or of its series."""
    folder = f"{item.image.rpartition('/')[0]}/"
    files = [file for file in (item.image, item.label) if file is not None]
    named = any(file in text for file in files) or (folder != "/" and text.startswith(folder))
    text = text if named else f"{item.image}: {text}"
    return text if item.key in text else f"{text} (item {item.key})"

"""The way to files and sources: whatever goes wrong in a file becomes a DataError with its name.

A damaged file can make a library raise anything, so no list of exceptions would be complete.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.limits import check_plain, check_size

if TYPE_CHECKING:
    from ucf_vit.data.batch import Sample
    from ucf_vit.data.sources import Item, Source

_LARGEST = 2**52
"""Values of an item at most, so that numbers of tiles can be counted: some petabytes."""
_SPEAKING = (OSError, EOFError, ValueError, SyntaxError)
"""Python's exceptions whose text says what is wrong with a file; of its others type and place are told."""


@contextmanager
def reading(path: str, failure: str = "can't be read") -> Iterator[None]:
    """Makes a DataError, `PATH: FAILURE (CAUSE)`, of whatever is raised in it.

    Of a DataError that names `path` nothing is changed, of another one the name is added.
    """
    try:
        yield
    except DataError as error:
        if path in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except UserError:
        raise
    except Exception as error:
        raise DataError(f"{path}: {failure} ({cause(error)})") from error


@contextmanager
def reading_item(item: Item) -> Iterator[None]:
    """The same for an item: the message names one of its files, and its key."""
    try:
        yield
    except DataError as error:
        if (text := _named(item, str(error))) == str(error):
            raise
        raise DataError(text) from error
    except UserError:
        raise
    except Exception as error:
        raise DataError(_named(item, cause(error))) from error


def cause(error: BaseException) -> str:
    """One line that says what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    of_a_library = type(error).__module__ != "builtins"
    if text and (of_a_library or isinstance(error, _SPEAKING)):
        return text
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text}; raised in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else text


def shape_of(source: Source, item: Item, max_bytes: int | None = None) -> tuple[int, ...]:
    """`(C, *S)` of an item from its header. Raises DataError with a file of the item.

    That is also for a pipe or a device in place of a file, a shape that no image has, and for more than
    `max_bytes` as float32.
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
    """`source.read`. Raises DataError with a file of the item, also where it holds no real numbers."""
    with reading_item(item):
        sample = source.read(item, region, channels)
        for array in (sample.image, sample.label):
            if array is not None and array.dtype.kind not in "biuf":
                raise ValueError(f"holds {array.dtype}, expected real numbers")
    return sample


def _named(item: Item, text: str) -> str:
    """`text` with a file of the item, or one beside it as in a series of files, and with the item's key."""
    folder = f"{item.image.rpartition('/')[0]}/"
    files = [file for file in (item.image, item.label) if file is not None]
    named = any(file in text for file in files) or (folder != "/" and text.startswith(folder))
    text = text if named else f"{item.image}: {text}"
    return text if item.key in text else f"{text} (item {item.key})"

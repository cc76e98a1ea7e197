"""Interface of a file of gridded fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import EllipsisType
from typing import Any, Protocol

from numpy.typing import NDArray

from ucf_vit.data.formats.netcdf import ENGINES, open_dataset
from ucf_vit.data.formats.npz import open_npz
from ucf_vit.data.storage.scratch import Scratch

SUFFIXES = (".npz", *ENGINES)
STORES = (".zarr",)
"""Suffixes of formats that are directories."""
Where = tuple[int | slice | EllipsisType, ...]


class FieldFile(Protocol):
    """Open file with variables by name, `[*S]` or `[T, *S]`."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every numeric variable, from the header only."""

    def read(self, name: str, where: Where) -> NDArray[Any]:
        """Returns the part `where` of a variable in its stored type, without reading more if the format
        allows it.
        """


@contextmanager
def open_fields(path: str, scratch: Scratch, limit: int, url: str | None = None) -> Iterator[FieldFile]:
    """Opens the file at `path` by its suffix; it is a copy of `url` and may unpack to at most `limit` bytes.

    Raises UserError where the package for its format is not installed, and any exception of that package for
    a damaged file.
    """
    packed = path.lower().endswith(".npz")
    made: AbstractContextManager[FieldFile]
    made = open_npz(path, scratch, limit, url) if packed else open_dataset(path, limit)
    with made as file:
        yield file

"""What every file of gridded fields can say and give."""

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
"""Those that are directories."""
Where = tuple[int | slice | EllipsisType, ...]


class FieldFile(Protocol):
    """An open file: variables by name, `[*S]` or `[T, *S]`."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every variable that holds numbers, from the header alone."""

    def read(self, name: str, where: Where) -> NDArray[Any]:
        """The part `where` of a variable, of the stored type; only this is read where the format can."""


@contextmanager
def open_fields(path: str, scratch: Scratch, limit: int, url: str | None = None) -> Iterator[FieldFile]:
    """The file at `path`, by its suffix; `url` is what it is a copy of, `limit` the bytes it may unpack to.

    Raises UserError where a package for its format is not installed, and whatever its library raises of a
    damaged file.
    """
    packed = path.lower().endswith(".npz")
    made: AbstractContextManager[FieldFile]
    made = open_npz(path, scratch, limit, url) if packed else open_dataset(path, limit)
    with made as file:
        yield file

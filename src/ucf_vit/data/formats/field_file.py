"""What every file of gridded fields can say and give."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import EllipsisType
from typing import Any, Protocol

from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.netcdf import ENGINES, open_dataset
from ucf_vit.data.formats.npz import open_npz
from ucf_vit.data.scratch import Scratch

SUFFIXES = (".npz", *ENGINES)
Where = tuple[int | slice | EllipsisType, ...]


class FieldFile(Protocol):
    """An open file: variables by name, `[*S]` or `[T, *S]`."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every variable that holds numbers, from the header alone."""

    def read(self, name: str, where: Where) -> NDArray[Any]:
        """The part `where` of a variable, of the stored type; only this is read where the format can."""


@contextmanager
def open_fields(path: str, scratch: Scratch, url: str | None = None) -> Iterator[FieldFile]:
    """The file at `path`, by its suffix; `url` is what it is a copy of.

    Raises DataError where it can't be read, UserError where a package for its format is not installed. A copy
    that is gone raises FileNotFoundError.
    """
    try:
        with open_npz(path, scratch, url) if path.endswith(".npz") else open_dataset(path) as file:
            yield file
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile) as error:
        if url is not None and isinstance(error, FileNotFoundError):
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{url or path}: can't be read ({text})") from error

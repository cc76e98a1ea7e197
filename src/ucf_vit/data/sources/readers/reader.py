"""Interface of the file formats that the layouts can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.storage import Files


class FileHeader(NamedTuple):
    """Number of channels of a file, its spatial axes `(*S)`, and its grid, if any, which is not checked."""

    channels: int
    shape: tuple[int, ...]
    geometry: Geometry | None = None


class Reader(Protocol):
    """Reads images and labels of one kind. Raises DataError where a file cannot be used."""

    suffixes: tuple[str, ...]
    """Ends of the names of files that it reads, in lower case."""
    spatial_dims: int
    """2 for images, 3 for volumes."""
    files: Files
    """Lists and opens the files."""

    def header(self, path: str, label: bool = False) -> FileHeader:
        """Returns the header of an image or a `label`; reads no voxels."""
        ...

    def geometry(self, path: str) -> Geometry | None:
        """Returns the checked grid of an image; None for a format that has none."""
        ...

    def image(self, path: str, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns channels of a region, `[C, *region]`, as a view if possible."""
        ...

    def label(self, path: str, region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns the stored values of a region of a label, `[*region]`, as a view if possible."""
        ...

"""Reader of NRRD and MetaImage volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.data.formats import itk
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.decoded import decode_once
from ucf_vit.data.storage.scratch import Scratch


class ItkReader(Reader):
    """Volumes `[X, Y, Z]`, or vectors of channels per voxel, as .nrrd, .nhdr, .mha or .mhd.

    A file is decoded once per machine and then memory-mapped. Headers with their voxels in another file
    (.nhdr, .mhd) are read from local directories only.
    """

    suffixes = itk.SUFFIXES
    spatial_dims = 3

    def __init__(self, scratch: Scratch | None = None, files: Files | None = None) -> None:
        self._scratch = scratch or Scratch()
        self.files = files or Files(Cache(self._scratch))

    def header(self, path: str, label: bool = False) -> FileHeader:
        """Returns the header from the first bytes of the file."""
        stored = self._header(path)
        return FileHeader(stored.channels, stored.shape, stored.geometry)

    def geometry(self, path: str) -> Geometry:
        """Returns the grid by spacing, origin and direction of the header."""
        stored = self._header(path).geometry
        with reading(path):
            return Geometry.checked(stored.shape, stored.affine)

    def image(self, path: str, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns `[C, *region]`: a view where the channels follow each other."""
        values = self._values(path)[(slice(None), *region)]
        first = channels[0]
        together = list(channels) == list(range(first, first + len(channels)))
        return values[first : first + len(channels)] if together else values[list(channels)]

    def label(self, path: str, region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns a view `[*region]` of the stored array."""
        values: NDArray[Any] = self._values(path)[0]
        return values[region]

    def _header(self, path: str) -> itk.ItkHeader:
        itk.check_installed(path)
        if is_remote(path) and path.lower().endswith((".nhdr", ".mhd")):
            raise DataError(f"{path}: its voxels are in another file; copy both to a local directory")
        with reading(path, "no readable header"):
            return self.files.using(path, itk.read_header)

    def _values(self, path: str) -> NDArray[Any]:
        size = self._header(path).size
        self.files.check_size(path, size)

        def decode() -> NDArray[Any]:
            with reading(path, "can't be decoded"):
                return self.files.using(path, itk.decode)

        other = None if is_remote(path) else itk.data_file(Path(path))
        stamps = (self.files.stamp(path), None if other is None else self.files.stamp(str(other)))
        key = path if is_remote(path) else str(Path(path).absolute())
        return decode_once(decode, size, self._scratch, "itk", key, *stamps)

"""Reader of NIfTI volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ucf_vit.data.formats.nifti import SUFFIXES, Volumes, read_geometry, read_header
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch


class NiftiReader(Reader):
    """Volumes `[X, Y, Z]`, or `[X, Y, Z, C]` (channels last on disk), as .nii or .nii.gz.

    Tiles are read from memory maps; a compressed file is decompressed once per machine.
    """

    suffixes = SUFFIXES
    spatial_dims = 3

    def __init__(self, scratch: Scratch | None = None, files: Files | None = None) -> None:
        scratch = scratch or Scratch()
        self.files = files or Files(Cache(scratch))
        self._volumes = Volumes(scratch, files=self.files)

    def header(self, path: str, label: bool = False) -> FileHeader:
        """Returns the header from the first bytes of the file."""
        header = read_header(path, self.files)
        *space, channels = (*header.shape, 1)[:4]
        return FileHeader(channels, tuple(space), header.geometry)

    def geometry(self, path: str) -> Geometry:
        """Returns the grid by the affine of the header."""
        return read_geometry(path, self.files)

    def image(self, path: str, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns a view `[C, *region]` of the stored array, or computed values where it has a slope."""
        return self._volumes.read(path).values(channels, region)

    def label(self, path: str, region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns a view `[*region]` of the stored array."""
        return self._volumes.read(path).values((0,), region)[0]

"""NIfTI volumes in `imagesTr` with labels of the same name in `labelsTr`, the layout of the Medical
Decathlon.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.nifti import SUFFIXES, NiftiHeader, Volumes, read_geometry, read_header
from ucf_vit.data.geometry.difference import difference
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources.listing import Listing
from ucf_vit.data.sources.pairing import paired
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization

FOLDERS = ("imagesTr", "labelsTr")


class BasicCT(Source):
    """3D volumes `[X, Y, Z]`, or `[X, Y, Z, C]` (channels last on disk), as .nii or .nii.gz.

    Image and label are paired by name without suffix. Without `labelsTr` no item has a label. Label values
    are as stored. `variables` names the channels (default: one, "intensity"). A label whose header places it
    elsewhere in space than its image is refused; with `label_geometry` "accept" it is used voxel by voxel.
    """

    spatial_dims = 3
    class_names = ()
    normalization = Normalization("minmax")

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        self.root = str(root)
        self.variables = tuple(variables)
        self.label_geometry = label_geometry
        self._elsewhere: list[str] = []
        scratch = scratch or Scratch()
        self._files = files or Files(Cache(scratch))
        self._volumes = Volumes(scratch, files=self._files)

    def items(self) -> Sequence[Item]:
        """Returns one item per file in `imagesTr`, sorted by name."""
        listing = Listing(self.root, self._files)
        self.passed_over = listing.passed_over
        items = paired(listing, *FOLDERS, SUFFIXES)
        listing.beside(FOLDERS)
        return items

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, X, Y, Z)` from the headers of image and label."""
        header = read_header(item.image, self._files)
        *space, channels = (*header.shape, 1)[:4]
        if channels < len(self.variables):
            raise DataError(
                f"{item.image}: has {channels} channel(s), expected {len(self.variables)}: "
                + ", ".join(self.variables)
            )
        if item.label is not None:
            self._check_label(item, header, read_header(item.label, self._files))
        return (channels, *space)

    def geometry(self, item: Item) -> Geometry:
        """Returns the grid of the image from its header."""
        return read_geometry(item.image, self._files)

    def remarks(self) -> Sequence[str]:
        """Returns how many labels lie elsewhere in space than their images and were accepted."""
        if not self._elsewhere:
            return ()
        number, first = len(self._elsewhere), min(self._elsewhere)
        return (f"{number} label(s) lie elsewhere than their images by their headers, the first {first}",)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns views `[C, *region]` and `[*region]` of the stored arrays."""
        region = region or (slice(None),) * 3
        chosen = range(len(self.variables)) if channels is None else channels
        image = self._volumes.read(item.image).values(chosen, region)
        label = None if item.label is None else self._volumes.read(item.label).values((0,), region)[0]
        return Sample(image, label, tuple(self.variables[c] for c in chosen), item.image)

    def _check_label(self, item: Item, image: NiftiHeader, label: NiftiHeader) -> None:
        if label.shape != image.shape[:3]:
            raise DataError(f"{item.label}: shape {label.shape} is not that of the image, {image.shape[:3]}")
        apart = difference(image.geometry, label.geometry)
        if apart and self.label_geometry == "refuse":
            raise DataError(
                f"{item.label}: its header places it elsewhere than the image: {apart}. Resample both to one "
                "grid or, if their voxels correspond nevertheless, set data.label_geometry: accept"
            )
        if apart:
            self._elsewhere.append(f"{item.label}: {apart}")

"""Items made of files: one image, or one file per channel, and a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.difference import difference
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.values.normalization import Normalization

UNLABELLED_TEST = "test images without a label"


class FileSource(Source):
    """Base of sources whose files one `Reader` reads: shapes, geometry, checks and voxels.

    A subclass lists the items. All files of an item have one shape and, where their headers say so, lie at
    the same place in space; `label_geometry` "accept" takes them voxel by voxel wherever they lie.
    `stored_channels` are the numbers, in a file with several channels, of the `variables` (default: the
    first ones).
    """

    class_names = ()
    file_options: Mapping[str, Any] = MappingProxyType({})
    normalization = Normalization("minmax")

    def __init__(
        self,
        root: str,
        variables: Sequence[str],
        reader: Reader,
        label_geometry: Literal["refuse", "accept"] = "refuse",
        stored_channels: Sequence[int] | None = None,
    ) -> None:
        self.root = root
        self.variables = tuple(variables)
        self.reader = reader
        self.spatial_dims = reader.spatial_dims
        self.label_geometry = label_geometry
        self.stored_channels = tuple(
            range(len(self.variables)) if stored_channels is None else stored_channels
        )
        self._elsewhere: list[str] = []

    def places(self, item: Item) -> Sequence[tuple[str, int]]:
        """Returns the file of each variable, and the number of the variable's channel in it."""
        if item.channel_files:
            return [(path, 0) for path in (item.image, *item.channel_files)]
        return [(item.image, channel) for channel in self.stored_channels]

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)` from the headers of all files of the item."""
        first = self.reader.header(item.image)
        if not item.channel_files:
            needed = 1 + max(channel for _, channel in self.places(item))
            if first.channels < needed:
                raise DataError(
                    f"{item.image}: has {first.channels} channel(s), expected {needed}: "
                    + ", ".join(self.variables)
                )
        for path in item.channel_files:
            self._check_same(path, "channel", self.reader.header(path), first)
        if item.label is not None:
            self._check_same(item.label, "label", self.reader.header(item.label, label=True), first)
        return (1 + len(item.channel_files) if item.channel_files else first.channels, *first.shape)

    def geometry(self, item: Item) -> Geometry | None:
        """Returns the grid of the first file of the item."""
        return self.reader.geometry(item.image)

    def remarks(self) -> Sequence[str]:
        """Returns how many labels lie elsewhere in space than their images and were accepted."""
        if not self._elsewhere:
            return ()
        number, first = len(self._elsewhere), min(self._elsewhere)
        return (f"{number} label(s) lie elsewhere than their images by their headers, the first {first}",)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` and `[*region]`: views where one file has all channels."""
        region = region or (slice(None),) * self.spatial_dims
        chosen = range(len(self.variables)) if channels is None else channels
        by_file: dict[str, list[int]] = {}
        for path, channel in map(self.places(item).__getitem__, chosen):
            by_file.setdefault(path, []).append(channel)
        parts = [self.reader.image(path, stored, region) for path, stored in by_file.items()]
        image = parts[0] if len(parts) == 1 else np.concatenate(parts)
        label = None if item.label is None else self.reader.label(item.label, region)
        return Sample(image, label, tuple(self.variables[c] for c in chosen), item.image)

    def _check_same(self, path: str, kind: str, header: FileHeader, image: FileHeader) -> None:
        """Raises DataError where a label, or a further channel, has another grid than the image."""
        if header.channels != 1:
            raise DataError(f"{path}: has {header.channels} channels, expected 1 in a {kind}")
        if header.shape != image.shape:
            raise DataError(f"{path}: shape {header.shape} is not that of the image, {image.shape}")
        if header.geometry is None or image.geometry is None:
            return
        apart = difference(image.geometry, header.geometry)
        if apart and self.label_geometry == "refuse":
            raise DataError(
                f"{path}: its header places it elsewhere than the image: {apart}. Resample both to one "
                "grid or, if their voxels correspond nevertheless, set data.label_geometry: accept"
            )
        if apart:
            self._elsewhere.append(f"{path}: {apart}")

"""Images in one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.normalization import Normalization
from ucf_vit.data.pictures import read_rgb, size_of
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.source import SOURCES, Item, Source
from ucf_vit.data.storage import Files, is_remote, join
from ucf_vit.planning.inventory import in_threads

SUFFIXES = {".jpg", ".jpeg", ".png"}
BEGINNING = 2**15
"""Bytes of a remote file in which its size is looked for."""
_UNREADABLE = "no readable image"


@SOURCES.register("imagenet")
class ImageNet(Source):
    """RGB images (JPEG, PNG) in one folder per class; the sorted folder names are the classes.

    Values are in [0, 1], images as they are seen: turned as their Exif orientation says. `resize` `[H, W]`
    brings all images to one size by a triangle filter as wide as the reduction (no aliasing, no overshoot).
    Grey, palette and CMYK images become RGB; alpha is dropped.
    """

    spatial_dims = 2
    variables: tuple[str, ...] = ("red", "green", "blue")
    normalization = Normalization("mean_std", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("red", "green", "blue"),
        resize: Sequence[int] | None = None,
        files: Files | None = None,
    ) -> None:
        self.root = str(root)
        self._files = files or Files()
        self.variables = tuple(variables)
        self.resize = None if resize is None else (int(resize[0]), int(resize[1]))
        if len(self.variables) != 3:
            raise DataError(f"{self.root}: RGB images have 3 variables, got {', '.join(self.variables)}")
        self.class_names = tuple(name for name in self._files.folders(self.root) if name[0] != ".")

    def items(self) -> Sequence[Item]:
        """All images, sorted by class and name; the stratum is the class."""
        folders = [join(self.root, name) for name in self.class_names]
        listed = zip(self.class_names, folders, in_threads(self._images, folders), strict=True)
        items = []
        for index, (name, folder, images) in enumerate(listed):
            if not images:
                raise DataError(f"{folder}: no JPEG or PNG image in this class folder")
            items += [Item(f"{name}/{i}", join(folder, i), None, name, index) for i in images]
        if not items:
            raise DataError(f"{self.root}: expected one folder of images per class, found none")
        return items

    def shape(self, item: Item) -> tuple[int, ...]:
        """`(3, H, W)`: `resize`, or the size in the header."""
        if self.resize is not None:
            return (3, *self.resize)
        if is_remote(item.image):
            start = self._files.head(item.image, BEGINNING)
            with suppress(Exception):  # the size may come later: the whole file says what is wrong
                return (3, *size_of(BytesIO(start)))
        with reading(item.image, _UNREADABLE):
            return (3, *self._files.using(item.image, size_of))

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """`[C, *region]` float32 in [0, 1] and the class index `[]`."""
        with reading(item.image, _UNREADABLE):
            pixels = self._files.using(
                item.image, lambda file: read_rgb(file, self.resize, self._files.limit)
            )
        image = np.moveaxis(pixels, -1, 0)[(slice(None), *(region or ()))]
        if channels is not None:
            image = image[list(channels)]
        names = self.variables if channels is None else tuple(self.variables[c] for c in channels)
        label = None if item.class_index is None else np.asarray(item.class_index, np.int64)
        return Sample(image, label, names, item.image)

    def _images(self, folder: str) -> list[str]:
        return [n for n in self._files.names(folder) if n[0] != "." and Path(n).suffix.lower() in SUFFIXES]

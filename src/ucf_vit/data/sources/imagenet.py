"""Images in one folder per class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.core.text import one_form
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.sources.listing import Listing, is_hidden
from ucf_vit.data.sources.readers.rgb import RgbReader
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import Files, join
from ucf_vit.data.values.normalization import Normalization

BESIDE = "images in no class folder"
GREY = Normalization("mean_std", mean=(0.449,), std=(0.226,))
"""Mean and deviation of the luminance of photographs, about those of their colours."""
_PART = re.compile(r"(train|val|valid|test|dev)(ing|idation)?|fold[-_ ]?\d+|split[-_ ]?\d+", re.IGNORECASE)
"""Names of folders that are splits of a data set."""


class ImageNet(Source):
    """Images in one folder per class, also in subfolders; the classes are the sorted folder names.

    All formats that Pillow decodes without external programs are read. Values are in [0, 1]; images are
    turned as their Exif orientation says. `resize` `[H, W]` brings all images to one size by a triangle
    filter as wide as the reduction (no aliasing, no overshoot). Grey, palette and CMYK images become RGB;
    alpha is dropped. One variable is the luminance.
    """

    spatial_dims = 2
    variables: tuple[str, ...] = ("red", "green", "blue")
    file_options: Mapping[str, Any] = MappingProxyType({"unit_range": True})
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
        grey = len(self.variables) == 1
        self._reader = RgbReader(resize, self._files, grey)
        if grey:
            self.normalization = GREY
        elif len(self.variables) != 3:
            names = ", ".join(self.variables)
            raise DataError(f"{self.root}: images have 3 variables, or 1 for grey, got {names}")
        folders = self._files.folders(self.root)
        self.class_names = tuple(sorted({one_form(name) for name in folders if not is_hidden(name)}))

    def items(self) -> Sequence[Item]:
        """Returns all images, sorted by class and name; the stratum is the class."""
        listing = Listing(self.root, self._files)
        self.passed_over = listing.passed_over
        numbers = {name: number for number, name in enumerate(self.class_names)}
        items = []
        for name, path in listing.members("", suffixes(), deep=True):
            kind, inside, _ = name.partition("/")
            if inside:
                items.append(Item(name, path, None, kind, numbers[kind]))
            else:
                listing.passed_over.add(BESIDE, name)
        self._check(items, listing)
        return sorted(items, key=lambda item: numbers[item.stratum])

    def _check(self, items: Sequence[Item], listing: Listing) -> None:
        """Raises DataError for a class without images, and for folders that are splits of a data set, not
        classes.
        """
        if not self.class_names:
            raise DataError(f"{self.root}: expected one folder of images per class, found none{listing.more}")
        direct = {item.stratum for item in items if item.key.count("/") == 1}
        empty = sorted(set(self.class_names) - {item.stratum for item in items})
        if empty:
            raise DataError(f"{join(self.root, empty[0])}: no image in this class folder{listing.more}")
        parts = [name for name in self.class_names if name not in direct and _PART.fullmatch(name)]
        if parts:
            raise DataError(
                f"{self.root}: {', '.join(parts)}: looks like a split of the data with class "
                f"folders below it, not like a class; give it as the root: {join(self.root, parts[0])}"
            )

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, H, W)`: `resize`, or the size in the header."""
        header = self._reader.header(item.image)
        return (header.channels, *header.shape)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` float32 in [0, 1] and the class index `[]`."""
        chosen = range(len(self.variables)) if channels is None else channels
        image = self._reader.image(item.image, chosen, region or ())
        names = tuple(self.variables[c] for c in chosen)
        label = None if item.class_index is None else np.asarray(item.class_index, np.int64)
        return Sample(image, label, names, item.image)

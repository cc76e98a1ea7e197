"""Arrays in `images/` with labels in `labels/`, paired by an id in their names, independent of the format."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.sources.listing import Listing
from ucf_vit.data.sources.pairing import paired
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import Files, join
from ucf_vit.data.values.normalization import Normalization

_WORD = "(?:images?|imgs?|labels?|masks?|segs?)"
_BEFORE = re.compile(rf"{_WORD}(?:[-_. ]|(?=\d))(.+)", re.IGNORECASE)
_AFTER = re.compile(rf"(.+)[-_. ]{_WORD}", re.IGNORECASE)
FOLDERS = ("images", "labels")
MOST_COLOURS = 4
"""Largest length of a third axis that is taken for channels where no label tells."""


class ArrayHeader(NamedTuple):
    """Shape and type of a stored array, and its number of spatial axes where the file states it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spatial: int | None = None


def id_of(name: str) -> str:
    """Returns the id that pairs an image with its label: the name without suffix and without a word such as
    mask.

    The words are image, img, label, mask and seg (also in plural), before or after the rest: `img_0012`,
    `image0012`, `label_0012`, `0012_mask` and `0012` all have the id `0012`.
    """
    match = _BEFORE.fullmatch(name) or _AFTER.fullmatch(name)
    return match[1] if match else name


class ArrayPairs(Source):
    """Images `[H, W]`, `[H, W, C]` or volumes `[X, Y, Z]`, `[X, Y, Z, C]`, one per file; labels without C.

    Labels decide what three axes mean: `[H, W, C]` if labels have two axes. Without labels they are `[X, Y,
    Z]` with three `tile_dims`; else `[H, W, C]` where the last axis has at most 4 entries or one per
    variable. All files of a data set are read in the same way. Values and labels are as stored.
    """

    suffixes: tuple[str, ...]
    in_root = False
    """Whether images without labels may be in `root` itself."""
    class_names = ()
    normalization = Normalization("minmax")

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        tile_dims: int = 2,
        files: Files | None = None,
    ) -> None:
        self.root = str(root)
        self.files = files or Files()
        self.variables = tuple(variables)
        self._items = self._pair()
        self.spatial_dims = self._axes(tile_dims)

    @abstractmethod
    def header(self, path: str, label: bool = False) -> ArrayHeader:
        """Returns shape and type of an image or a `label` without reading values. Raises DataError."""

    @abstractmethod
    def open(self, path: str, label: bool = False) -> NDArray[Any]:
        """Returns the array, as a memory map if possible; a `label` as it is stored. Raises DataError."""

    def items(self) -> Sequence[Item]:
        """Returns one item per file in `images`, sorted by id."""
        return self._items

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)` from the headers of image and label."""
        (stored, _, spatial), dims = self._checked(item.image), self.spatial_dims
        if len(stored) not in (dims, dims + 1) or spatial not in (None, dims):
            expected = "[H, W] or [H, W, C]" if dims == 2 else "[X, Y, Z] or [X, Y, Z, C]"
            raise DataError(
                f"{item.image}: has the shape {stored}, expected {expected} as in the other files"
            )
        channels = stored[dims] if len(stored) > dims else 1
        if channels < len(self.variables):
            names = ", ".join(self.variables)
            raise DataError(
                f"{item.image}: has {channels} channel(s), expected {len(self.variables)}: {names}"
            )
        label = None if item.label is None else self._checked(item.label, label=True).shape
        if label not in (None, stored[:dims]):
            raise DataError(f"{item.label}: shape {label} is not that of the image, {stored[:dims]}")
        return (channels, *stored[:dims])

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns views `[C, *region]` and `[*region]` of the stored arrays."""
        region = region or (slice(None),) * self.spatial_dims
        chosen = list(range(len(self.variables)) if channels is None else channels)
        stored = self.open(item.image)
        first = np.moveaxis(stored, -1, 0) if stored.ndim > self.spatial_dims else stored[None]
        run = list(range(chosen[0], chosen[0] + len(chosen))) == chosen
        image = first[(slice(chosen[0], chosen[-1] + 1), *region)] if run else first[:, *region][chosen]
        label = None if item.label is None else self.open(item.label, label=True)[region]
        return Sample(image, label, tuple(self.variables[c] for c in chosen), item.image)

    def _checked(self, path: str, label: bool = False) -> ArrayHeader:
        """Returns the header of a non-empty array of real numbers. Raises DataError for any other array."""
        header = self.header(path, label)
        if header.dtype.kind not in "biuf":
            raise DataError(f"{path}: holds {header.dtype}, expected real numbers")
        if not header.shape or min(header.shape) < 1:
            raise DataError(f"{path}: has the shape {header.shape}, expected an image or a volume")
        return header

    def _pair(self) -> list[Item]:
        listing = Listing(self.root, self.files)
        self.passed_over = listing.passed_over
        if self.in_root and not self.files.exists(join(self.root, FOLDERS[0])):
            return paired(listing, "", FOLDERS[1], self.suffixes, id_of)
        items = paired(listing, *FOLDERS, self.suffixes, id_of)
        listing.beside(FOLDERS)
        return items

    def _axes(self, tile_dims: int) -> int:
        """Returns the number of spatial axes, from the first item whose headers can be read."""
        for item in sorted(self._items, key=lambda item: item.label is None):
            with suppress(DataError):
                image, _, spatial = self._checked(item.image)
                if spatial is not None:
                    return spatial
                if item.label is not None:
                    return min(max(len(self._checked(item.label, label=True).shape), 2), 3)
                colours = image[-1] <= MOST_COLOURS or image[-1] == len(self.variables)
                return 2 if len(image) < 3 or (len(image) == 3 and tile_dims == 2 and colours) else 3
        return min(max(tile_dims, 2), 3)

"""Pictures with masks of the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ucf_vit.core.errors import DataError
from ucf_vit.data.arrays import ArraySpec
from ucf_vit.data.batch import Sample
from ucf_vit.data.sources.array_pairs import id_of
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import Listing
from ucf_vit.data.sources.pairing import paired
from ucf_vit.data.sources.readers.pictures import PictureReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files, join
from ucf_vit.data.storage.scratch import Scratch

IMAGES, MASKS = "images", ("masks", "labels")


class ImageMasks(FileSource):
    """PNG, JPEG, TIFF and other pictures in `images`, with masks in `masks` or `labels`, paired by id.

    `variables` says what an image is: one is grey, three are red, green and blue, four have alpha; files are
    converted. A mask has a grey value or a palette index per class or, with `colours` (one per class, in
    order), a colour. With `instances` the stored values are also read as the array "instances", which no
    mapping to classes changes. Without a folder `images` the pictures of the root have no masks.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        colours: Sequence[str | Sequence[int]] | None = None,
        instances: bool = False,
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        if len(variables) not in (1, 3, 4):
            raise DataError(
                f"{root}: pictures have 1 variable (grey), 3 (red, green, blue) or 4 (with alpha), got "
                + ", ".join(variables)
            )
        super().__init__(str(root), variables, PictureReader(len(variables), colours, scratch, files))
        self.arrays: Mapping[str, ArraySpec] = MappingProxyType(
            {"instances": ArraySpec("label")} if instances else {}
        )

    def items(self) -> Sequence[Item]:
        """Returns one item per picture, sorted by id."""
        listing = Listing(self.root, self.reader.files)
        self.passed_over = listing.passed_over
        if not self.reader.files.exists(join(self.root, IMAGES)):
            return paired(listing, "", MASKS[0], self.reader.suffixes, id_of)
        there = [name for name in MASKS if self.reader.files.exists(join(self.root, name))]
        if len(there) > 1:
            raise DataError(
                f"{self.root}: has {' and '.join(there)}; keep the folder of the masks to train on"
            )
        masks = there[0] if there else MASKS[0]
        items = paired(listing, IMAGES, masks, self.reader.suffixes, id_of)
        listing.beside((IMAGES, masks))
        return items

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` and `[*region]`, and the mask again as `extra["instances"]`."""
        sample = super().read(item, region, channels)
        if not self.arrays:
            return sample
        if sample.label is None:
            raise DataError(f"{item.image}: has no mask; the option instances needs one for each image")
        return Sample(sample.image, sample.label, sample.variables, sample.file, {"instances": sample.label})

"""NIfTI volumes in `imagesTr` with labels of the same name in `labelsTr`, the layout of the Medical
Decathlon without its dataset.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import Listing
from ucf_vit.data.sources.pairing import paired
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch

FOLDERS = ("imagesTr", "labelsTr")


class BasicCT(FileSource):
    """3D volumes `[X, Y, Z]`, or `[X, Y, Z, C]` (channels last on disk), as .nii or .nii.gz.

    Image and label are paired by name without suffix. Without `labelsTr` no item has a label. Label values
    are as stored. `variables` names the channels (default: one, "intensity"). A label whose header places it
    elsewhere in space than its image is refused; with `label_geometry` "accept" it is used voxel by voxel.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        super().__init__(str(root), variables, NiftiReader(scratch, files), label_geometry)

    def items(self) -> Sequence[Item]:
        """Returns one item per file in `imagesTr`, sorted by name."""
        listing = Listing(self.root, self.reader.files)
        self.passed_over = listing.passed_over
        items = paired(listing, *FOLDERS, self.reader.suffixes)
        listing.beside(FOLDERS)
        return items

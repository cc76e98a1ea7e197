"""The layout of the KiTS challenges: a folder per case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.listing import Listing, stem
from ucf_vit.data.sources.pairing import ORPHANS
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization

IMAGE = "imaging"


class Kits(FileSource):
    """CT volumes `case_00000/imaging.nii.gz` with `case_00000/segmentation.nii.gz`, a case per patient.

    `label` is another name of the label files, such as "aggregated_MAND_seg" of KiTS21. Unless a config says
    otherwise, values from -79 to 304 become 0 to 1 and others are clipped.
    """

    label_names = MappingProxyType({0: "background", 1: "kidney", 2: "tumor", 3: "cyst"})
    normalization = Normalization("window", low=-79.0, high=304.0)

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("ct",),
        label: str = "segmentation",
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        super().__init__(str(root), variables, NiftiReader(scratch, files), label_geometry)
        self.label = label

    def items(self) -> Sequence[Item]:
        """Returns one item per case folder with an image, sorted; the case is the group."""
        listing = Listing(self.root, self.reader.files)
        self.passed_over = listing.passed_over
        paths: dict[str, dict[str, str]] = {IMAGE: {}, self.label: {}}
        names = {kind + suffix for kind in paths for suffix in self.reader.suffixes}
        for name, path in listing.walk(
            "", lambda name: name.lower() in {n.lower() for n in names}, deep=True
        ):
            case, _, file = name.rpartition("/")
            kind = stem(file, self.reader.suffixes)
            if case in paths[kind]:
                raise DataError(f"{path} and {paths[kind][case]} are both of {case}; keep one of them")
            paths[kind][case] = path
        images, labels = paths[IMAGE], paths[self.label]
        if not images:
            raise DataError(f"{self.root}: no CASE/{IMAGE}.nii.gz found{listing.more}")
        for case in sorted(labels.keys() - images.keys()):
            listing.passed_over.add(ORPHANS, labels[case])
        return [Item(case, images[case], labels.get(case), group=case) for case in sorted(images)]

"""Tasks of the Medical Segmentation Decathlon, such as `Task01_BrainTumour`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ucf_vit.core.errors import DataError
from ucf_vit.core.text import one_form
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.layouts.dataset_json import FILE, DatasetJson
from ucf_vit.data.sources.layouts.file_source import UNLABELLED_TEST, FileSource
from ucf_vit.data.sources.listing import Listing, is_hidden, stem
from ucf_vit.data.sources.readers.nifti import NiftiReader
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files, MissingError, join
from ucf_vit.data.storage.scratch import Scratch

UNLISTED = f"files that {FILE} does not list"


class Msd(FileSource):
    """Cases that `dataset.json` lists as training, 3D or 4D (channels last), with their labels.

    `variables` are channels by the names that dataset.json gives them (`modality`), in any order (default:
    all). Its test images have no labels and are passed over.
    """

    by_name = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = (),
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        reader = NiftiReader(scratch, files)
        self.about = DatasetJson.read(str(root), reader.files)
        channels = self.about.stored_channels(variables)
        names = [self.about.channels[channel] for channel in channels]
        super().__init__(str(root), names, reader, label_geometry, channels)
        self.label_names = self.about.label_names
        self._cases_found = 0

    def items(self) -> Sequence[Item]:
        """Returns the listed training cases, sorted by name."""
        with reading(self.about.path, "its list of training cases can't be used"):
            cases = [(str(one["image"]), str(one["label"])) for one in self.about.entries["training"]]
            tests = [_below(str(name)) for name in self.about.entries.get("test", [])]
        listed = [(_below(image), _below(label)) for image, label in cases if not is_hidden(_name(image))]
        items = [
            Item(stem(_name(image), self.reader.suffixes), join(self.root, image), join(self.root, label))
            for image, label in listed
        ]
        if not items:
            raise DataError(f"{self.about.path}: lists no training case")
        self._cases_found = len(items)
        self._count_others({one for pair in listed for one in pair}, tests)
        return sorted(items, key=lambda item: item.key)

    def _count_others(self, used: set[str], tests: Sequence[str]) -> None:
        """Counts files that belong to no item: hidden ones, those of the test set, and unlisted ones."""
        listing = Listing(self.root, self.reader.files)
        self.passed_over = listing.passed_over
        for name in tests:
            listing.passed_over.add(UNLABELLED_TEST, name)
        known = {one_form(name) for name in (*used, *tests)}
        for folder in ("imagesTr", "labelsTr"):
            try:
                members = listing.members(folder, self.reader.suffixes)
            except MissingError:
                continue
            for name, _ in members:
                if f"{folder}/{name}" not in known:
                    listing.passed_over.add(UNLISTED, f"{folder}/{name}")

    def remarks(self) -> Sequence[str]:
        """Returns remarks on accepted labels, a label that is not to count, and the number of cases."""
        return (*super().remarks(), *self.about.remarks(self._cases_found))


def _below(name: str) -> str:
    """Returns a path such as `./imagesTr/a.nii.gz` without its dot."""
    return name.replace("\\", "/").removeprefix("./")


def _name(path: str) -> str:
    return path.rpartition("/")[2]

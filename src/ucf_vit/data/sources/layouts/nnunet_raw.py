"""Raw data sets of nnU-Net, such as `Dataset001_BrainTumour`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.data.batch import Sample
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.layouts.dataset_json import DatasetJson
from ucf_vit.data.sources.layouts.file_source import UNLABELLED_TEST, FileSource
from ucf_vit.data.sources.listing import OTHER, Listing, Member, stem
from ucf_vit.data.sources.pairing import ORPHANS
from ucf_vit.data.sources.readers.reader_of import reader_of
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Files, MissingError, join
from ucf_vit.data.storage.scratch import Scratch

SPLITS = "splits_final.json"
UNNAMED = "files of channels that dataset.json does not name"
NOT_IN_FOLD = "cases that are in neither part of the fold"
_CASE = re.compile(r"(.+)_(\d{4})")


class NnunetRaw(FileSource):
    """Cases `imagesTr/CASE_0000.nii.gz`, a file per channel, with `labelsTr/CASE.nii.gz`.

    `variables` are channels by the names of `dataset.json`, in any order (default: all); its `file_ending`
    says what the files are. `fold` takes training and validation cases from `splits_final.json` in `root`
    (or the file `splits`). `region` makes the label 1 in a label or region of that name, 0 elsewhere. Images
    of `imagesTs` with a label in `labelsTs` are test cases.
    """

    by_name = True

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = (),
        fold: int | None = None,
        splits: str | None = None,
        region: str | None = None,
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        files = files or Files()
        self.about = DatasetJson.read(str(root), files)
        self._check_numbers()
        ending = str(self.about.entries.get("file_ending", ".nii.gz")).lower()
        self._channels = self.about.stored_channels(variables)
        names = [self.about.channels[channel] for channel in self._channels]
        reader = reader_of(ending, scratch, files, f"{self.about.path}: file_ending")
        super().__init__(str(root), names, reader, label_geometry)
        self.ending, self.fold, self._cases_found = ending, fold, 0
        self.splits = splits or join(str(root), SPLITS)
        self._values = None if region is None else self._region(region)
        self.label_names = {0: "background", 1: region} if region else self.about.label_names

    def items(self) -> Sequence[Item]:
        """Returns the cases of imagesTr, then the labelled ones of imagesTs, each sorted by name."""
        listing = Listing(self.root, self.reader.files)
        self.passed_over = listing.passed_over
        items = self._cases(listing, "imagesTr", "labelsTr")
        if not items:
            raise DataError(f"{join(self.root, 'imagesTr')}: no CASE_0000{self.ending} found{listing.more}")
        self._cases_found = len(items)
        if self.fold is not None:
            items = self._in_fold(items, listing)
        tests = []
        for item in self._cases(listing, "imagesTs", "labelsTs"):
            if item.label is None:
                listing.passed_over.add(UNLABELLED_TEST, f"imagesTs/{item.key}")
            else:
                tests.append(replace(item, split="test"))
        return [*items, *tests]

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns `[C, *region]` and `[*region]`; with the option `region` a label of 0 and 1."""
        sample = super().read(item, region, channels)
        if self._values is None or sample.label is None:
            return sample
        return replace(sample, label=np.isin(sample.label, self._values).astype(np.uint8))

    def remarks(self) -> Sequence[str]:
        """Returns remarks on accepted labels, a label that is not to count, and the number of cases."""
        return (*super().remarks(), *self.about.remarks(self._cases_found))

    def places(self, item: Item) -> Sequence[tuple[str, int]]:
        """Returns a file per variable, or the channels of one colour image, as nnU-Net stores photographs."""
        if item.channel_files or not self._is_colour_image(item.image):
            return super().places(item)
        return [(item.image, channel) for channel in self._channels]

    def _check_numbers(self) -> None:
        """Raises DataError where the numbers of channels, which are in the names of files, have a gap."""
        entries = self.about.entries
        numbers = sorted(map(int, entries.get("channel_names", entries.get("modality"))))
        if numbers != list(range(len(numbers))):
            listed = ", ".join(map(str, numbers))
            raise DataError(
                f"{self.about.path}: its channels have the numbers {listed}; expected 0 to "
                f"{len(numbers) - 1}, as in the names of files"
            )

    def _cases(self, listing: Listing, images: str, labels: str) -> list[Item]:
        """Returns the cases of a folder. Raises DataError with all cases that lack a channel."""
        files: dict[str, dict[int, str]] = {}
        for name, path in _members(listing, images, self.ending):
            match = _CASE.fullmatch(stem(name, (self.ending,)))
            kind = OTHER if match is None else UNNAMED if int(match[2]) >= len(self.about.channels) else ""
            if kind or match is None:
                listing.passed_over.add(kind, f"{images}/{name}")
            else:
                files.setdefault(match[1], {})[int(match[2])] = path
        label_paths = {
            stem(name, (self.ending,)): path for name, path in _members(listing, labels, self.ending)
        }
        for case in sorted(label_paths.keys() - files.keys()):
            listing.passed_over.add(ORPHANS, f"{labels}/{case}")
        self._check_channels(images, files)
        return [self._item(case, paths, label_paths.get(case)) for case, paths in sorted(files.items())]

    def _item(self, case: str, paths: Mapping[int, str], label: str | None) -> Item:
        in_one = list(paths) == [0] and self._is_colour_image(paths[0])
        first, *others = [paths[0]] if in_one else [paths[c] for c in self._channels]
        return Item(case, first, label, channel_files=tuple(others))

    def _is_colour_image(self, path: str) -> bool:
        """Returns whether a file can have all channels: a picture that is numbered as the first of them."""
        return self.reader.spatial_dims == 2 and stem(path, (self.ending,)).endswith("_0000")

    def _check_channels(self, folder: str, files: Mapping[str, Mapping[int, str]]) -> None:
        missing = [
            f"{case}_{channel:04d}{self.ending} ({self.about.channels[channel]})"
            for case, paths in sorted(files.items())
            if not (list(paths) == [0] and self._is_colour_image(paths[0]))
            for channel in self._channels
            if channel not in paths
        ]
        if missing:
            raise DataError(
                f"{join(self.root, folder)}: {len(missing)} files of channels are missing in {len(files)} "
                f"cases: {first_few(missing, 5)}; add them, take the cases out, or name the channels that "
                "all cases have with input.default_vars"
            )

    def _in_fold(self, items: Sequence[Item], listing: Listing) -> list[Item]:
        """Returns the items of the fold with their splits. Raises DataError for cases that are not there."""
        splits = self._fold()
        absent = sorted(splits.keys() - {item.key for item in items})
        if absent:
            raise DataError(
                f"{self.splits}: {len(absent)} case(s) of fold {self.fold} are not in imagesTr: "
                + first_few(absent, 5)
            )
        for item in items:
            if item.key not in splits:
                listing.passed_over.add(NOT_IN_FOLD, item.key)
        return [replace(item, split=splits[item.key]) for item in items if item.key in splits]

    def _fold(self) -> dict[str, str]:
        """Returns the split of each case in the fold."""
        files = self.reader.files
        if not files.exists(self.splits):
            raise DataError(
                f"{self.splits}: not found, and fold {self.fold} was requested; copy it from "
                f"nnUNet_preprocessed, name it with the option splits, or leave fold out"
            )
        with reading(self.splits, "can't be read as the splits of nnU-Net"):
            folds = json.loads(files.using(self.splits, Path.read_bytes))
            if not isinstance(folds, list):
                raise DataError(f"{self.splits}: expected a list of folds with the keys train and val")
            if not isinstance(self.fold, int):
                raise DataError(
                    f"{self.root}: fold is {self.fold!r}; expected a number from 0 to {len(folds) - 1}, or "
                    "none for all cases"
                )
            if not 0 <= self.fold < len(folds):
                raise DataError(f"{self.splits}: has folds 0 to {len(folds) - 1}, not {self.fold}")
            fold = folds[self.fold]
            splits = {str(case): "training" for case in fold["train"]}
            both = sorted(splits.keys() & set(map(str, fold["val"])))
            if both:
                raise DataError(f"{self.splits}: fold {self.fold} trains and validates {first_few(both)}")
            return splits | {str(case): "validation" for case in fold["val"]}

    def _region(self, name: str) -> tuple[int, ...]:
        labels = self.about.labels
        if name not in labels:
            hint = did_you_mean(name, list(labels))
            raise DataError(
                f"{self.about.path}: no label or region {name!r}{hint}; it has {', '.join(labels)}"
            )
        return labels[name]


def _members(listing: Listing, folder: str, ending: str) -> list[Member]:
    try:
        return listing.members(folder, (ending,))
    except MissingError:
        return []

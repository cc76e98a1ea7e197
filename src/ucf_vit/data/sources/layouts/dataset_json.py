"""The file dataset.json of the Medical Segmentation Decathlon and of nnU-Net: channels, labels, cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.data.reading import reading
from ucf_vit.data.storage import Files, MissingError, join

FILE = "dataset.json"
IGNORE = "ignore"
"""Name of the label of voxels that count neither in training nor in evaluation, as nnU-Net has it."""


@dataclass(frozen=True)
class DatasetJson:
    """Entries of a dataset.json: `channels` by number, and `labels` as values by name.

    A label of several values is a region. `path` is that of the file, `entries` is all of its content.
    """

    path: str
    channels: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]]
    entries: Mapping[str, Any]

    @classmethod
    def read(cls, root: str, files: Files) -> DatasetJson:
        """Reads the file in `root`. Raises DataError where it is missing or has no channels."""
        path = join(root, FILE)
        try:
            text = files.using(path, Path.read_bytes).decode("utf-8-sig")
        except (FileNotFoundError, NotADirectoryError, MissingError) as error:
            raise MissingError(f"{path}: not found; expected it to name the channels and labels") from error
        with reading(path, "can't be read as a dataset.json"):
            entries = json.loads(text)
            channels = entries.get("channel_names", entries.get("modality"))
            if not isinstance(channels, dict) or not channels:
                raise DataError(f"{path}: has neither channel_names nor modality, which name the channels")
            labels = entries.get("labels", {})
            if not isinstance(labels, dict):
                raise DataError(
                    f"{path}: labels is {labels!r:.80}; expected numbers by name, as "
                    "{background: 0, tumour: 1}"
                )
            names = tuple(str(name) for _, name in sorted(channels.items(), key=lambda one: int(one[0])))
            return cls(path, _distinct(names), _labels(labels), entries)

    def stored_channels(self, variables: Sequence[str]) -> tuple[int, ...]:
        """Returns the numbers of the channels called `variables` (all, in order, where there are none)."""
        for name in variables:
            if name not in self.channels:
                hint = did_you_mean(name, list(self.channels))
                known = ", ".join(self.channels)
                raise DataError(f"{self.path}: no channel {name!r}{hint}; it has {known}")
        return tuple(map(self.channels.index, variables or self.channels))

    @property
    def label_names(self) -> dict[int, str]:
        """Names of single values; of a value in regions only, the name of the smallest region it is in."""
        by_size = sorted(self.labels.items(), key=lambda one: -len(one[1]))
        return {value: name for name, values in by_size for value in values}

    def remarks(self, cases: int) -> tuple[str, ...]:
        """Returns advice on a label whose voxels do not count, and on `cases` that are not `numTraining`."""
        values, expected = self.labels.get(IGNORE, ()), self.entries.get("numTraining", cases)
        counts = f"{self.path}: numTraining is {expected}, but there are {cases} training cases"
        return (
            *(
                f"label {value} is called {IGNORE!r}: set data.ignore_label: {value} so that it does not "
                "count"
                for value in values
            ),
            *([] if str(expected) == str(cases) else [counts]),
        )


def _labels(entry: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns values by name, of `{"0": "background"}` as of `{"background": 0, "tumour": [1, 2]}`."""
    values_by_name: dict[str, tuple[int, ...]] = {}
    for key, value in entry.items():
        if isinstance(value, str):
            values_by_name[value] = (*values_by_name.get(value, ()), int(key))
        else:
            values_by_name[key] = tuple(map(int, value)) if isinstance(value, list) else (int(value),)
    return values_by_name


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns names that differ: the second channel of one name becomes NAME_2."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    if len(seen) == len(names):
        return names
    count: dict[str, int] = {}
    made = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        made.append(name if count[name] == 1 else f"{name}_{count[name]}")
    return tuple(made)

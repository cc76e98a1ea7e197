"""Splits that are given: a splits.json of another run, splits_final.json of nnU-Net, or a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError
from ucf_vit.core.text import one_form, read_text
from ucf_vit.data.reading import reading
from ucf_vit.data.splits.groups import read_table

SPLITS = ("training", "validation", "test")
_MEANT = {"train": "training", "val": "validation", "valid": "validation", "": ""}
"""Other words for splits, as tables of others have them."""
KNOWN = (
    "expected the splits.json of a run, a list of folds with the keys train and val (nnU-Net), or a .csv "
    "with the columns item and split"
)


def read_splits(path: Path, dataset: str, fold: int = 0) -> Mapping[str, str]:
    """Returns the split of each item of a data set, by its name in the file `path`.

    `fold` is the number of the fold in a list of folds. Raises DataError.
    """
    if path.suffix.lower() == ".csv":
        table = read_table(path, "split")
        return {name: _split(word, path) for name, word in table.items()}
    with reading(str(path), f"no splits; {KNOWN}"):
        content = json.loads(read_text(path))
        if isinstance(content, list):
            return _of_fold(content, path, fold)
        names = list(content["datasets"])
        if dataset not in names and len(names) != 1:
            raise DataError(f"{path}: has no data set {dataset!r}, only {', '.join(names)}")
        entry = content["datasets"][dataset if dataset in names else names[0]]
        return _by_name({split: entry[split] for split in SPLITS}, path)


def _of_fold(folds: list[Any], path: Path, fold: int) -> dict[str, str]:
    if not fold < len(folds):
        raise DataError(f"{path}: has {len(folds)} folds, data.split.fold is {fold}; they count from 0")
    return _by_name({"training": folds[fold]["train"], "validation": folds[fold]["val"]}, path)


def _by_name(names: Mapping[str, Any], path: Path) -> dict[str, str]:
    split_of_name: dict[str, str] = {}
    for split, some in names.items():
        if not isinstance(some, list):
            raise DataError(f"{path}: {split} is {some!r:.80}; expected a list of names")
        for name in map(one_form, some):
            if split_of_name.setdefault(name, split) != split:
                raise DataError(
                    f"{path}: item {name} is there to {split_of_name[name]} and to {split}; keep one"
                )
    return split_of_name


def _split(word: str, path: Path) -> str:
    split = _MEANT.get(word.lower(), word.lower())
    if split and split not in SPLITS:
        raise DataError(f"{path}: split {word!r}; expected {', '.join(SPLITS)}")
    return split

"""Class numbers that depend on class names only, not on the folder or file in which a name occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.core.text import one_form
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.values.label_map import IGNORED

SHOWN = 20


def class_order(datasets: Iterable[Dataset], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the class names by number: first those in `known`, then the new ones of each data set.

    Empty where items have no classes, or no source names them.
    """
    names = {one_form(name): name for name in known}
    for dataset in filter(has_classes, datasets):
        for name in dataset.class_names:
            names.setdefault(one_form(name), name)
    return tuple(names.values())


def label_names(datasets: Iterable[Dataset]) -> dict[int, str]:
    """Returns the names of the classes of pixels or voxels, by class number, as the data sets name values.

    A class of several values has all their names, joined by " + "; ignored values have none.
    """
    names: dict[int, dict[str, None]] = {}
    for dataset in datasets:
        for value, name in dataset.source.label_names.items():
            number = int(dataset.label_map.numbers(np.array([value]))[0])
            if number != IGNORED:
                names.setdefault(number, {})[name] = None
    return {number: " + ".join(names[number]) for number in sorted(names)}


def numbered(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Returns the data set with its items' classes renumbered to their positions in `names`.

    Without `names` the numbers stay as they are. Raises DataError for a class that is not in `names`.
    """
    own = dataset.class_names
    if not names or not has_classes(dataset):
        return dataset
    if not own:
        raise DataError(
            f"{dataset.name}: its source does not name its classes (class_names); those of the run are "
            f"numbered by name: {in_words(names)}"
        )
    places = {one_form(name): number for number, name in enumerate(names)}
    numbers = [places.get(one_form(name)) for name in own]
    used = sorted({item.class_index for item in dataset.items if item.class_index is not None})
    if used and not 0 <= used[0] <= used[-1] < len(own):
        raise DataError(
            f"{dataset.name}: its source names {len(own)} classes, and has items of class {used[-1]}"
        )
    strange = [own[number] for number in used if numbers[number] is None]
    if strange:
        hint = did_you_mean(strange[0], list(names)) if len(strange) == 1 else ""
        raise DataError(
            f"{dataset.name}: unknown class {in_words(strange)}{hint}; the classes are {in_words(names)}"
        )
    if numbers == list(range(len(own))):
        return replace(dataset, class_names=tuple(names))
    items = (
        item if item.class_index is None else replace(item, class_index=numbers[item.class_index])
        for item in dataset.items
    )
    return replace(dataset, items=tuple(items), class_names=tuple(names))


def class_counts(datasets: Iterable[Dataset], num_classes: int = 0) -> list[int]:
    """Returns the number of items of each class of whole images, for `num_classes` classes or more."""
    counts = Counter(item.class_index for one in filter(has_classes, datasets) for item in one.items)
    known = [number for number in counts if number is not None]
    return [counts[number] for number in range(max([num_classes, *(n + 1 for n in known)], default=0))]


def has_classes(dataset: Dataset) -> bool:
    """Returns whether each item has a class."""
    return any(item.class_index is not None for item in dataset.items[:1])


def in_words(names: Sequence[str]) -> str:
    """Returns the names separated by commas; of a long list the first ones and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

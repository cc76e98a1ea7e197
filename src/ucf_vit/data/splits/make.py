"""Splits of the items of several data sets, which may have groups in common."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.read_item import read_sample
from ucf_vit.data.sources import Item, Source
from ucf_vit.data.splits.given import read_splits
from ucf_vit.data.splits.groups import look_up, names_of
from ucf_vit.data.splits.seeded import Fractions, Unit, seeded_splits
from ucf_vit.data.values.labels import label_values

log = logging.getLogger(__name__)
Items = Mapping[str, Sequence[Item]]
"""Items by data set."""
Splits = dict[str, dict[str, str]]
"""Split of each item by data set and key; "" for none."""


def seeded(
    items: Items, sources: Mapping[str, Source], fractions: Fractions, seed: int, stratify: str
) -> Splits:
    """Returns splits drawn from `seed`; items that their layout gives to test stay there.

    `stratify` is "classes", "labels" (which reads every label) or "none". Raises DataError for an empty part.
    """
    splits: Splits = {name: {} for name in items}
    strata: dict[str, dict[Hashable, int]] = defaultdict(lambda: defaultdict(int))
    members: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, some in items.items():
        free = [item for item in some if item.split != "test"]
        splits[name] = {item.key: "test" for item in some if item.split == "test"}
        for item, kind in zip(free, _strata(stratify, free, sources[name]), strict=True):
            group = f"group {item.group}" if item.group else f"item {name} {item.key}"
            strata[group][name, kind] += 1
            members[group].append((name, item.key))
    units = [Unit(group, counts) for group, counts in strata.items()]
    for unit, split in zip(units, seeded_splits(units, fractions, seed), strict=True):
        for name, key in members[unit.name]:
            splits[name][key] = split
    return splits


def _strata(how: str, items: Sequence[Item], source: Source) -> Sequence[Hashable]:
    """Returns the kind of each item; all splits have the same proportions of each kind."""
    if how == "none":
        return [()] * len(items)
    labels: Sequence[Hashable] = [()] * len(items)
    if how == "labels":
        labels = map_in_threads(partial(_label_set, source), items)
    return [(item.stratum, item.class_index, label) for item, label in zip(items, labels, strict=True)]


def _label_set(source: Source, item: Item) -> Hashable:
    """Returns the values in the label of an item."""
    label = None if item.label is None else read_sample(source, item, None, (0,)).label
    return () if label is None else tuple(label_values(label).values.tolist())


def given(items: Items, file: Path | None, fold: int) -> Splits:
    """Returns the splits that `file` gives, or without one the layout of each data set.

    Warnings name items without a split, and names in `file` that no item has. Raises DataError where no
    item of a data set has a split.
    """
    splits: Splits = {}
    listed: dict[str, str] = {}
    for name, some in items.items():
        if file is None:
            splits[name] = {item.key: item.split for item in some}
        else:
            known = read_splits(file, name, fold)
            listed |= known
            splits[name] = {item.key: look_up(known, item) or "" for item in some}
        origin = "the layout of the data set" if file is None else str(file)
        without = [key for key, split in splits[name].items() if not split]
        if without and len(without) == len(some):
            raise DataError(
                f"{name}: data.split.kind is given, but {origin} gives no split to any of {len(some)} items "
                f"({first_few(without)})"
            )
        if without:
            log.warning(
                "%s: %s gives no split to %d item(s), which are not used: %s",
                *(name, origin, len(without), first_few(without)),
            )
    names = {name for some in items.values() for item in some for name in names_of(item)}
    if absent := sorted(listed.keys() - names):
        log.warning("%s: %d item(s) are in no data set: %s", file, len(absent), first_few(absent))
    return splits


def check_classes(
    name: str, items: Sequence[Item], splits: Mapping[str, str], class_names: Sequence[str]
) -> None:
    """Raises DataError where items of a class are held out and none of that class trains."""
    keys: dict[str, dict[int, str]] = defaultdict(dict)
    for item in items:
        if item.class_index is not None:
            keys[splits[item.key]].setdefault(item.class_index, item.key)
    held_out = keys["validation"] | keys["test"]
    lost = sorted(held_out.keys() - keys["training"].keys()) if keys["training"] else []
    if lost:
        names = [f"{class_names[n] if n < len(class_names) else n} (item {held_out[n]})" for n in lost]
        raise DataError(
            f"{name}: {len(lost)} class(es) are in no training item, only in held-out ones: "
            f"{first_few(names)}. Add items, or change data.split"
        )

"""Facts about a whole item that are needed before its tiles are used: normalization and label values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.read_item import read_sample
from ucf_vit.data.sources import Item
from ucf_vit.data.sources.item_keys import ItemKeys
from ucf_vit.data.sources.regridded import Regridded
from ucf_vit.data.values import labels
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.data.values.normalization import Affine, Normalization

VERSION = 2
"""Increased when the same values give different facts."""


class ItemFacts(NamedTuple):
    """Normalization of each channel read, and the values that the stored label contains."""

    affine: Affine
    label: labels.LabelValues


class ItemFactsCache:
    """Facts about the items of a data set, measured once and shared by processes as small scratch files."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        source = dataset.source.inner if isinstance(dataset.source, Regridded) else dataset.source
        self._keys = ItemKeys(source, dataset.value_options, dataset.files)
        self._known: dict[tuple[int, tuple[int, ...]], ItemFacts] = {}

    def of(self, item: int, channels: tuple[int, ...]) -> ItemFacts:
        """Returns the facts about item number `item`. Raises DataError where its values can't be used."""
        facts = self._known.get((item, channels))
        if facts is None:
            facts = self._known[item, channels] = self._look_up(item, channels)
        return facts

    def _look_up(self, number: int, channels: tuple[int, ...]) -> ItemFacts:
        item, dataset = self.dataset.items[number], self.dataset
        measured: list[ItemFacts] = []

        if item.label is None and not dataset.normalization.needs_whole_item:
            nothing = np.zeros((len(channels), 0))
            return ItemFacts(dataset.normalization.fit(nothing, channels), labels.NO_VALUES)

        def measure() -> ItemFacts:
            sample = read_sample(dataset.source, item, None, channels)
            return measure_facts(sample, item, channels, dataset.normalization)

        def make(path: Path) -> None:
            measured.append(measure())
            save(measured[0], path)

        key = self._keys.of(item)
        if key is None:
            return measure()
        about = ("facts", VERSION, dataset.normalization, channels)
        path = dataset.scratch.file(make, 4096, ".npz", *about, *key)
        if path is not None and not measured:
            with suppress(FileNotFoundError):  # another process may have needed the room
                return load(path)
        return measured[0] if measured else measure()


def measure_facts(
    sample: Sample, item: Item, channels: Sequence[int], normalization: Normalization
) -> ItemFacts:
    """Returns the facts about a whole item. Raises DataError where its values can't be used."""
    label = labels.NO_VALUES if sample.label is None else labels.label_values(sample.label)
    return ItemFacts(normalization.fit(sample.image, channels), label)


def check_label(values: labels.LabelValues, item: Item, label_map: LabelMap, num_classes: int | None) -> None:
    """Raises DataError with the label's file where `label_map` maps one of its values to no class."""
    try:
        label_map.check(values, num_classes)
    except DataError as error:
        raise DataError(f"{item.label or item.image}: {error}") from error


def save(facts: ItemFacts, path: Path) -> None:
    """Writes facts to exactly `path`."""
    with path.open("wb") as stream:
        np.savez(stream, **facts.affine._asdict(), **facts.label._asdict())


def load(path: Path) -> ItemFacts:
    """Reads facts written by `save`."""
    with np.load(path) as stored:
        label = labels.LabelValues(
            stored["values"], float(stored["low"]), float(stored["high"]), bool(stored["nan"])
        )
        return ItemFacts(Affine(stored["shift"], stored["divisor"]), label)

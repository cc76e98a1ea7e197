"""What must be known of a whole item before a tile of it is used: its normalisation, its label's values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data import labels
from ucf_vit.data.batch import Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.normalization import Affine, Normalization
from ucf_vit.data.sources import Item
from ucf_vit.data.storage import Files, is_remote
from ucf_vit.data.storage.store import UNKNOWN


class Facts(NamedTuple):
    """Normalisation of each channel read, and the distinct values of the stored label (empty without one)."""

    affine: Affine
    label_values: NDArray[np.int64]


class FactsBook:
    """Facts of the items of a data set, found once and shared between processes as small scratch files."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._known: dict[tuple[int, tuple[int, ...]], Facts] = {}

    def of(self, item: int, channels: tuple[int, ...]) -> Facts:
        """Facts of item number `item`. DataError where its values can't be used."""
        found = self._known.get((item, channels))
        if found is None:
            found = self._known[item, channels] = self._look_up(item, channels)
        return found

    def _look_up(self, item: int, channels: tuple[int, ...]) -> Facts:
        files = self.dataset.items[item]
        found: list[Facts] = []

        def measure() -> Facts:
            sample = self.dataset.source.read(files, None, channels)
            return find(sample, files, channels, self.dataset.normalization)

        def make(path: Path) -> None:
            found.append(measure())
            save(found[0], path)

        names = [name for name in (files.image, files.label) if name is not None]
        states = [_state(name, self.dataset.files) for name in names]
        if any(UNKNOWN in state for state in states):
            return measure()
        key = (*states, files.step, channels, self.dataset.normalization)
        path = self.dataset.scratch.file(make, 4096, ".npz", *key)
        if path is not None and not found:
            with suppress(FileNotFoundError):  # another process may have needed the room
                return load(path)
        return found[0] if found else measure()


def find(sample: Sample, item: Item, channels: Sequence[int], normalization: Normalization) -> Facts:
    """Facts of a whole item. DataError where its values can't be used."""
    values: NDArray[Any] = np.zeros(0, np.int64)
    if sample.label is not None:
        with _of_label(item):
            values = labels.values_of(np.atleast_1d(sample.label))
    return Facts(normalization.fit(sample.image, channels), values)


def check_label(facts: Facts, item: Item, mapping: Mapping[int, int], num_classes: int | None) -> None:
    """DataError with the label's file where a value of it is, after `mapping`, no class."""
    with _of_label(item):
        labels.check(facts.label_values, mapping, num_classes)


@contextmanager
def _of_label(item: Item) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{item.label or item.image}: {error}") from error


def save(facts: Facts, path: Path) -> None:
    """Write to exactly `path`."""
    with path.open("wb") as stream:
        np.savez(stream, shift=facts.affine.shift, divisor=facts.affine.divisor, values=facts.label_values)


def load(path: Path) -> Facts:
    """Read what `save` wrote."""
    with np.load(path) as stored:
        return Facts(Affine(stored["shift"], stored["divisor"]), stored["values"])


def _state(name: str, files: Files) -> tuple[str, int, int]:
    """Names the present content of a file; UNKNOWN is in it of a remote directory of chunks."""
    if is_remote(name):
        return name, *files.stamp(name)
    stat = Path(name).stat()
    return str(Path(name).absolute()), stat.st_size, stat.st_mtime_ns

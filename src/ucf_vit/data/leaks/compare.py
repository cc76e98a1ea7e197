"""Items compared with others that are known by their fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import CONTENTS, PLACE
from ucf_vit.data.leaks.signature import SIZE, Look, Signatures, look
from ucf_vit.data.read_item import read_sample
from ucf_vit.data.sources import SOURCES

VALUES = 3
"""Column of the hash of the values; the rest of the signature follows."""
COLUMNS = VALUES + SIZE
EXACT: dict[int, str] = {PLACE: "same file", CONTENTS: "same contents", VALUES: "same values"}
NEAR = "near copy"
Rows = NDArray[np.int64]
"""Fingerprints `[N, 10]`: path, contents and name of an item; the signature of its values (0: unknown)."""
Stopped = Callable[[], bool]
See = Callable[[int, Sample], None]
"""Function that is called with the number of each item that is read, and its values."""
Use = TypeVar("Use", bound=str)


def _never() -> bool:
    return False


def _blind(number: int, sample: Sample) -> None:
    pass


@dataclass(frozen=True)
class Copy:
    """Item number `item` is, as `how` says, number `other` of those that are known."""

    item: int
    other: int
    how: str


def without_values(rows: Rows) -> Rows:
    """Returns fingerprints `[N, 3]` of files as rows whose values are unknown."""
    return np.concatenate([rows, np.zeros((len(rows), COLUMNS - rows.shape[1]), np.int64)], 1)


def looks(
    items: Dataset, numbers: Iterable[int], stopped: Stopped = _never, see: See = _blind
) -> Iterator[Look | None]:
    """Yields the items of these numbers, read and looked at; None for unreadable ones, or once stopped.

    They are read as they are stored, before resampling, through a source that other threads do not use.
    """
    source = items.source
    if items.origin is not None:
        name, options = items.origin
        source = SOURCES[name](**options)
    for number in numbers:
        if stopped():
            yield None
            continue
        try:
            sample = read_sample(source, items.items[number], None, items.channels)
        except DataError:
            yield None
            continue
        see(number, sample)
        yield look(sample.image)


def sign(
    items: Dataset, rows: Rows, known: Sequence[Rows] = (), stopped: Stopped = _never, see: See = _blind
) -> None:
    """Fills in the signatures of `rows`; those of files that `known` rows have are not read again."""
    before = {(row[PLACE], row[CONTENTS]): row[VALUES:] for some in known for row in some if row[VALUES]}
    signatures = [before.get((row[PLACE], row[CONTENTS])) if row[CONTENTS] else None for row in rows]
    new = [number for number, signature in enumerate(signatures) if signature is None]
    for number, examined in zip(new, looks(items, new, stopped, see), strict=True):
        signatures[number] = None if examined is None else examined.signature
    for row, signature in zip(rows, signatures, strict=True):
        row[VALUES:] = 0 if signature is None else signature


def exact_copies(rows: Rows, known: Rows) -> list[Copy]:
    """Returns those of `rows` that are known, each once: by path, contents of the file, or values."""
    copies_by_item: dict[int, Copy] = {}
    for column, how in EXACT.items():
        places = {value: number for number, value in enumerate(known[:, column].tolist()) if value}
        for number, value in enumerate(rows[:, column].tolist()):
            if value in places:
                copies_by_item.setdefault(number, Copy(number, places[value], how))
    return [copies_by_item[number] for number in sorted(copies_by_item)]


def copies(
    items: Dataset, rows: Rows, known: Mapping[Use, Rows], stopped: Stopped = _never, see: See = _blind
) -> dict[Use, list[Copy]]:
    """Returns which items are copies, exact or near, of each of several sets of `known` ones.

    All items are read, and their signatures filled into `rows`.
    """
    signatures = {name: Signatures(some[:, VALUES:]) for name, some in known.items()}
    near: dict[Use, dict[int, int]] = {name: {} for name in known}
    for number, examined in enumerate(looks(items, range(len(rows)), stopped, see)):
        if examined is None:
            continue
        rows[number, VALUES:] = examined.signature
        for name, some in signatures.items():
            others = np.flatnonzero(some.near(examined))
            if len(others):
                near[name][number] = int(others[0])
    return {name: _merged(exact_copies(rows, some), near[name]) for name, some in known.items()}


def _merged(exact: Sequence[Copy], near: Mapping[int, int]) -> list[Copy]:
    copies_by_item = {number: Copy(number, other, NEAR) for number, other in near.items()}
    copies_by_item.update({one.item: one for one in exact})
    return [copies_by_item[number] for number in sorted(copies_by_item)]

"""Statistics of each variable over the items of a data set, which normalize a whole run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.digests import digest_of
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.read_item import read_sample, reading_item
from ucf_vit.data.sources import Item
from ucf_vit.data.values.normalization import Normalization, value_range
from ucf_vit.data.values.running_moments import Moments, moments

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statistics:
    """Moments of each variable's values over the first `done` items of a data set; missing values do not
    count.

    `fingerprint` identifies the whole list of items. Statistics belong to a run only where the items, the
    `options` of the source and, for files that do not name their channels, the `channels` are the same.
    """

    fingerprint: str
    done: int = 0
    variables: Mapping[str, Moments] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, done: int = 0, names: Iterable[str] = ()) -> Statistics:
        """Returns empty statistics for the variables `names` of a data set."""
        names, source = tuple(names), dataset.source
        channels = {} if source.by_name else {name: source.variables.index(name) for name in names}
        empty = dict.fromkeys(names, Moments())
        nan = {} if dataset.normalization.nan is None else {"data.dict_nan": dataset.normalization.nan}
        return cls(fingerprint(dataset.items), done, empty, {**dataset.value_options, **nan}, channels)

    def mismatch(self, dataset: Dataset) -> str:
        """Returns how the values measured differ from those that `dataset` reads; empty where they are the
        same.
        """
        now = Statistics.of(dataset, names=dataset.variables)
        wrong = [
            f"{name} {self.options.get(name, 'not set')}, not {now.options.get(name, 'not set')}"
            for name in sorted({*self.options, *now.options})
            if self.options.get(name) != now.options.get(name)
        ]
        wrong += [
            f"{name} in channel {self.channels[name]}, not {channel}"
            for name, channel in now.channels.items()
            if self.channels.get(name, channel) != channel
        ]
        return "; ".join(wrong)

    def normalization(self, dataset: Dataset) -> Normalization:
        """Returns a normalization by mean and standard deviation for the channels of `dataset`.

        A constant variable is only shifted. Raises DataError for a variable without statistics or without
        values.
        """
        for name in dataset.variables:
            if name not in self.variables:
                raise DataError(f"no statistics of variable {name!r}, only of {', '.join(self.variables)}")
            if not self.variables[name].number:
                raise DataError(f"variable {name!r} has no value in any training item; leave it out")
        known = [self.variables.get(name, Moments()) for name in dataset.source.variables]
        return replace(
            dataset.normalization,
            kind="mean_std",
            mean=tuple(one.mean for one in known),
            std=tuple(one.std or 1.0 for one in known),
        )


def fingerprint(items: Iterable[Item]) -> str:
    """Returns a hash of the items' keys, independent of where the files are."""
    return digest_of(item.key for item in items)


def measure(
    dataset: Dataset, start: Statistics, on_error: Literal["fail", "skip"] = "fail"
) -> Iterator[Statistics]:
    """Yields the statistics of the variables of `start` after every item from number `start.done` on.

    Continuing from any of them gives bit for bit the result of an uninterrupted pass. Raises DataError with
    the file that can't be read; with "skip" it is left out.
    """
    total = dict(start.variables)
    channels = [dataset.source.variables.index(name) for name in total]
    for number in range(start.done, len(dataset.items)):
        item = dataset.items[number]
        try:
            parts = _of_item(dataset, item, channels)
        except DataError as error:
            if on_error == "fail":
                raise
            log.warning("skipped an unreadable file: %s", error)
            parts = [Moments() for _ in channels]
        total = {name: total[name] | part for name, part in zip(total, parts, strict=True)}
        yield replace(start, done=number + 1, variables=total)


def _of_item(dataset: Dataset, item: Item, channels: list[int]) -> list[Moments]:
    parts = []
    for channel in channels:
        image = read_sample(dataset.source, item, None, [channel]).image[0]
        with reading_item(item):
            values = dataset.normalization.valid_values(image)
            value_range(values, f"variable {dataset.source.variables[channel]}")
            parts.append(moments(values))
    return parts

"""Metrics between two log lines: mean loss, samples per second, fraction of time spent waiting for data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import TypeVar

from ucf_vit.data.batch import Batch

TILE_SECONDS = "tile_seconds/"
T = TypeVar("T")


class Meter:
    """Averages the metrics of steps until `flush`. Times are wall-clock seconds of this process."""

    def __init__(self) -> None:
        self._clear()
        self._began = self._ended = self._since

    def waiting(self, source: Iterable[T]) -> Iterator[T]:
        """Yields the items of `source` and counts the time it takes to get them as waiting.

        Time between two sources, such as that of a validation, does not count.
        """
        self._since += time.perf_counter() - self._ended
        iterator = iter(source)
        while True:
            requested = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                self._ended = time.perf_counter()
                return
            self._began = time.perf_counter()
            self._waited += self._began - requested
            yield item

    def add(self, metrics: dict[str, float], batches: Sequence[Batch], processes: int) -> None:
        """Counts one step: `batches` on this rank, and others on each of the `processes` data ranks."""
        samples, seconds = sum(map(len, batches)), time.perf_counter() - self._began
        self._steps += 1
        self._samples += sum(batch.mean_size for batch in batches) * processes
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if len(names := {batch.dataset for batch in batches}) == 1:
            self._costs.setdefault(names.pop(), []).append(seconds / samples)

    def flush(self) -> dict[str, float]:
        """Returns the means since the last flush, `samples_per_s`, `data_wait` and `tile_seconds/DATASET`.

        `data_wait` is the fraction of time spent on waiting, in [0, 1]. `tile_seconds` are medians over steps
        of the time per tile on this process, without waiting.
        """
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        means = {name: value / self._steps for name, value in self._sums.items()}
        rates = {"samples_per_s": self._samples / elapsed, "data_wait": min(1.0, self._waited / elapsed)}
        costs = {TILE_SECONDS + name: median(seconds) for name, seconds in self._costs.items()}
        self._clear()
        return means | rates | costs

    def _clear(self) -> None:
        self._since = time.perf_counter()
        self._waited = 0.0
        self._steps = 0
        self._samples = 0.0
        self._sums: dict[str, float] = {}
        self._costs: dict[str, list[float]] = {}

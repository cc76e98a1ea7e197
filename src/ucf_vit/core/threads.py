"""Parallel calls in threads, for I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 16
Value = TypeVar("Value")
Result = TypeVar("Result")


def map_in_threads(
    function: Callable[[Value], Result], values: Sequence[Value], threads: int = THREADS
) -> list[Result]:
    """Returns `function` of each value, in order; the calls run in threads."""
    size = min(256, -(-len(values) // threads) or 1)
    chunks = [values[start : start + size] for start in range(0, len(values), size)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        parts = pool.map(lambda chunk: [function(value) for value in chunk], chunks)
        return [result for part in parts for result in part]

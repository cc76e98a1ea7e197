"""Long lists in messages: the first entries, and that there are more."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice


def first_few(entries: Collection[object], most: int = 3, count: int | None = None) -> str:
    """Returns up to `most` entries: `a, b, c`, or `a, b, c, ...` where there are more.

    `count` is the number of all entries, for a list of which only the first were stored.
    """
    more = (len(entries) if count is None else count) > most
    return ", ".join([*map(str, islice(entries, most)), *["..."] * more])


def first_and_rest(entries: Collection[str], most: int) -> list[str]:
    """Returns up to `most` entries, then `and 4 more` where there are more."""
    more = len(entries) - most
    return [*islice(entries, most), *([f"and {more} more"] if more > 0 else [])]

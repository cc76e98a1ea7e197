"""Abbreviation of long lists in messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice


def first_few(entries: Collection[object], most: int = 3, count: int | None = None) -> str:
    """Returns up to `most` entries as `a, b, c`, or `a, b, c, ...` if there are more.

    `count` is the number of all entries, if `entries` has only the first ones.
    """
    more = (len(entries) if count is None else count) > most
    return ", ".join([*map(str, islice(entries, most)), *["..."] * more])


def first_and_rest(entries: Collection[str], most: int) -> list[str]:
    """Returns up to `most` entries, followed by `and 4 more` if there are more."""
    more = len(entries) - most
    return [*islice(entries, most), *([f"and {more} more"] if more > 0 else [])]


def few(names: Sequence[str], most: int = 10) -> str:
    """Returns up to `most` names, and the number of all if there are more: `a, b, ... (7 in all)`."""
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")

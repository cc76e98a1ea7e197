"""Readable names of the methods of a comparison, and the folder of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 80
"""Number of characters of a folder's name up to which it is not abbreviated."""


def method_names(paths: Sequence[Path]) -> list[str]:
    """Returns the parts of paths by which they differ: `a` and `b` of runs/a/best and runs/b/best."""
    parts = [path.absolute().parts for path in paths]
    shortest = min(len(one) for one in parts)
    if len(paths) == 1:
        return [parts[0][-1]]
    start = next((n for n in range(shortest) if len({one[n] for one in parts}) > 1), shortest)
    end = next((n for n in range(shortest) if len({one[-1 - n] for one in parts}) > 1), shortest)
    names = []
    for one in parts:
        first = min(start, len(one) - 1)
        last = max(len(one) - end, first + 1)
        names.append("/".join(one[first:last]))
    return names


def folder_name(name: str, methods: Sequence[str]) -> str:
    """Returns the name of the folder with a comparison of the results `name` with those of other methods."""
    plain = ["".join(c if c.isalnum() or c in "-." else "_" for c in method) for method in methods[1:]]
    whole = "_".join([name, "compared_with", *plain])
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[:_LONGEST]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"

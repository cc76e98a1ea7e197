"""SLURM's notations for lists of hosts and tasks per node."""

from __future__ import annotations

import re
from itertools import product

from ucf_vit.core.errors import UserError

_ENTRY = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")
_PART = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def hosts(written: str) -> list[str]:
    """Returns the names in a host list such as `node[001-003,7],login1`, in order.

    Several brackets in a name are combined, with the last one varying fastest, as in SLURM. Raises UserError
    if it is not a host list.
    """
    entries = _ENTRY.findall(written)
    if not entries or ",".join(entries) != written:
        raise UserError(f"{written!r} is not a list of hosts such as node[001-003],login1")
    return [name for entry in entries for name in _names(entry, written)]


def _names(entry: str, written: str) -> list[str]:
    choices = [
        _numbers(inside, written) if bracketed else [outside]
        for bracketed, inside, outside in (
            (part.group(0).startswith("["), part.group(1), part.group(2)) for part in _PART.finditer(entry)
        )
    ]
    return ["".join(parts) for parts in product(*choices)]


def _numbers(inside: str, written: str) -> list[str]:
    """Returns 008, 009, 010, 3 for `008-010,3`: numbers are padded to the digits of the first of a range."""
    numbers: list[str] = []
    for item in inside.split(","):
        matched = _RANGE.fullmatch(item)
        first, last = (matched.group(1), matched.group(2) or matched.group(1)) if matched else ("1", "0")
        if int(last) < int(first):
            raise UserError(f"{written!r}: [{inside}] is not a list of numbers such as [001-003,7]")
        numbers += [str(value).zfill(len(first)) for value in range(int(first), int(last) + 1)]
    return numbers


def tasks_per_node(written: str) -> list[int]:
    """Returns 2, 2, 2, 1 for `2(x3),1`. Raises UserError if the text is not of this form."""
    counts: list[int] = []
    for item in written.split(","):
        matched = _TASKS.fullmatch(item)
        if matched is None:
            raise UserError(f"{written!r} is not a number of tasks per node such as 8(x3),4")
        counts += [int(matched.group(1))] * int(matched.group(2) or 1)
    return counts

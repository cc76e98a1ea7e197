"""Keys whose other values come with a later version: one table, from which lines go as features arrive."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

ONLY: dict[str, object] = {"parallelism.seq_par_size": 1}


def not_available(run: Run) -> Iterator[Problem]:
    """Values that mean something, but not in this version."""
    for key, only in ONLY.items():
        value = attrgetter(key)(run)
        if value != only:
            shown = str(only).lower() if isinstance(only, bool) else only
            message = f"not available in this version; the only value for now is {shown}"
            yield Problem(tuple(key.split(".")), message, value)

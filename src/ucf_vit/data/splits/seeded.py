"""Seeded splits: groups of items shared out by given fractions, with classes in the same proportions.

The result depends on the names of groups and items, their classes and the seed only: not on the order of
files, the machine or the number of processes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from ucf_vit.core.errors import DataError
from ucf_vit.core.text import to_bytes


@dataclass(frozen=True)
class Unit:
    """Items that stay together, `name` for all of them; `strata` counts them by data set and class."""

    name: str
    strata: Mapping[Hashable, int]

    @property
    def size(self) -> int:
        """Number of items."""
        return sum(self.strata.values())


def share_out(units: Sequence[Unit], shares: Sequence[float], seed: int) -> list[int]:
    """Returns the part of each unit, a number below `len(shares)`; shares add up to 1.

    Units come from the largest to the smallest, alike ones one after the other, in an order drawn from
    `seed`. Each goes to the part that lacks most of its share of the items so far, of all and of those of the
    unit's strata (the method of largest deficits, as for seats of a parliament).
    """
    ids = {stratum: number for number, stratum in enumerate({s: None for unit in units for s in unit.strata})}
    kinds = [[(ids[stratum], count) for stratum, count in unit.strata.items()] for unit in units]
    seen, total = [0] * len(ids), 0
    parts = [part for part, share in enumerate(shares) if share > 0]
    filled = [[0] * len(ids) for _ in shares]
    sizes, chosen = [0] * len(shares), [0] * len(units)
    for number in sorted(range(len(units)), key=lambda n: _order(units[n], seed)):
        size = units[number].size
        total += size
        for stratum, count in kinds[number]:
            seen[stratum] += count
        best, most = parts[0], -math.inf
        for part in parts:
            share, own = shares[part], filled[part]
            lack = share * total - sizes[part]
            for stratum, count in kinds[number]:
                lack += (share * seen[stratum] - own[stratum]) * count / size
            if lack > most:
                best, most = part, lack
        chosen[number] = best
        sizes[best] += size
        for stratum, count in kinds[number]:
            filled[best][stratum] += count
    return chosen


def _order(unit: Unit, seed: int) -> tuple[int, str, bytes]:
    """Returns the place of a unit: its size, its strata, and a pseudo-random number."""
    drawn = hashlib.blake2b(f"{seed}:".encode() + to_bytes(unit.name), digest_size=16).digest()
    return -unit.size, repr(sorted(unit.strata.items(), key=repr)), drawn


@dataclass(frozen=True)
class Fractions:
    """Fractions of the items that validate and test; with `folds`, fold `fold` of the rest validates."""

    validation: float
    test: float
    folds: int | None = None
    fold: int = 0

    @property
    def names(self) -> list[str]:
        """Names of the parts, in order."""
        if self.folds is None:
            return ["training", "validation", "test"]
        return [*(f"fold {number} of {self.folds}" for number in range(self.folds)), "test"]

    @property
    def shares(self) -> list[float]:
        """Returns the fraction of the items in each part."""
        if self.folds is None:
            return [1 - self.validation - self.test, self.validation, self.test]
        return [(1 - self.test) / self.folds] * self.folds + [self.test]

    def split_of(self, part: int) -> str:
        """Returns the split that a part is used for."""
        if self.folds is None:
            return self.names[part]
        return "test" if part == self.folds else "validation" if part == self.fold else "training"


def seeded_splits(units: Sequence[Unit], fractions: Fractions, seed: int) -> list[str]:
    """Returns the split of each unit. Raises DataError, naming it, where a part gets no item."""
    parts = share_out(units, fractions.shares, seed)
    empty = [
        name
        for part, (name, share) in enumerate(zip(fractions.names, fractions.shares, strict=True))
        if share > 0 and part not in parts
    ]
    if empty:
        raise DataError(
            f"data.split: no item for {', '.join(empty)}: there are {len(units)} groups (items of no group "
            "count as one each). Add items, or change the fractions or the number of folds"
        )
    return [fractions.split_of(part) for part in parts]

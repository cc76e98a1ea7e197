"""The plan: what each data rank reads in an epoch, as a file that anyone can look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.planning import npz_arrays
from ucf_vit.planning.cost import Ints

KIND = "plan"


@dataclass(frozen=True)
class PlannedDataset:
    """A data set in a plan: it is read by `ranks` ranks from number `first_rank` on.

    `batches` are those of a rank for one pass over its tiles. A tile's cost is that of all its variables.
    `files_digest` is its inventory's.
    """

    name: str
    files: int
    tiles: int
    tile_cost: float
    first_rank: int
    ranks: int
    batches: int
    files_digest: str = ""


class PlannedTiles(NamedTuple):
    """Tiles `first` to `first + tiles` of a file, by its number in the data set's inventory."""

    dataset: str
    file: int
    first: int
    tiles: int


@dataclass(frozen=True, eq=False)
class Plan:
    """What each of `ranks` data ranks reads in an epoch; a file of it, or new from `make_plan`.

    `steps` are the batches of each rank. Rank r's runs are rows `offsets[r]` to `offsets[r + 1]` of `runs`
    `[M, 4]` (data set, file, first tile, tiles), its cost is `loads[r]`. `layout` holds what the tiles depend
    on, such as their size. A rank that opens the file reads its own rows alone: they are memory maps.
    """

    parts: tuple[PlannedDataset, ...]
    ranks: int
    batch_size: int
    steps: int
    interleaved: bool
    layout: Mapping[str, Any]
    offsets: Ints
    runs: NDArray[np.int32]
    loads: NDArray[np.float64]

    @property
    def imbalance(self) -> float:
        """Largest load over mean load; 1 is perfect."""
        return float(self.loads.max() / self.loads.mean())

    @property
    def batches_per_rank_epoch(self) -> dict[str, int]:
        """Batches of a rank for one pass over each data set: the config key of this name."""
        return {part.name: part.batches for part in self.parts}

    @property
    def groups(self) -> tuple[int, ...]:
        """Ranks of each data set; none if all ranks read all data sets."""
        return () if self.interleaved else tuple(part.ranks for part in self.parts)

    @property
    def dataset_group_list(self) -> str | None:
        """The config key of this name: `groups` with colons between."""
        return ":".join(map(str, self.groups)) or None

    def passes(self, part: PlannedDataset) -> float:
        """How often a data set is read in an epoch: whole passes, the last one cut off where steps end."""
        return 1.0 if self.interleaved else self.steps / part.batches

    def imbalance_of(self, part: PlannedDataset) -> float:
        """Largest over mean load of the ranks that read a data set."""
        mine = self.loads[part.first_rank : part.first_rank + part.ranks]
        return float(mine.max() / mine.mean())

    def share(self, rank: int) -> Iterator[PlannedTiles]:
        """What data rank `rank` reads in one pass, in the order of the files."""
        for dataset, file, first, tiles in self.runs[self.offsets[rank] : self.offsets[rank + 1]].tolist():
            yield PlannedTiles(self.parts[dataset].name, file, first, tiles)

    def save(self, path: Path) -> None:
        """Write it to `path`, an uncompressed .npz file. Raises UserError."""
        about = {
            "ranks": self.ranks,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "interleaved": self.interleaved,
            "layout": dict(self.layout),
            "parts": [asdict(part) for part in self.parts],
        }
        npz_arrays.save(path, KIND, about, {"offsets": self.offsets, "runs": self.runs, "loads": self.loads})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """What was saved, through memory maps. Raises UserError."""
        about, found = npz_arrays.load(path, KIND)
        try:
            parts = tuple(PlannedDataset(**part) for part in about.pop("parts"))
            return cls(parts=parts, **{**about, **found})
        except (KeyError, TypeError):
            raise npz_arrays.other_version(path, KIND) from None

    def misfit(self, now: Plan) -> list[str]:
        """Why this plan is not for what `now` was made for, in words; empty if it fits."""
        found = [
            f"{what} is {after}, the plan is for {before}"
            for what, before, after in [
                ("the number of data ranks", self.ranks, now.ranks),
                ("data.batch_size", self.batch_size, now.batch_size),
                *((key, self.layout.get(key), now.layout.get(key)) for key in {**self.layout, **now.layout}),
            ]
            if before != after
        ]
        then = {part.name: part for part in self.parts}
        for part in now.parts:
            before = then.pop(part.name, None)
            if before is None:
                found.append(f"data set {part.name} is not in the plan")
            elif (before.files, before.tiles) != (part.files, part.tiles):
                found.append(
                    f"{part.name} has {part.files} files with {part.tiles} tiles, the plan is for "
                    f"{before.files} with {before.tiles}"
                )
            elif before.files_digest != part.files_digest:
                found.append(f"{part.name} has other files, or files of other shapes")
            elif before.tile_cost != part.tile_cost:
                found.append(
                    f"a tile of {part.name} costs {part.tile_cost:g}, {before.tile_cost:g} in the plan"
                )
        found += [f"data set {name} of the plan is not in the config" for name in then]
        return found or self._other_shares(now)

    def _other_shares(self, now: Plan) -> list[str]:
        same = all(
            np.array_equal(getattr(self, name), getattr(now, name)) for name in ("offsets", "runs", "loads")
        )
        if same and (self.groups, self.steps) == (now.groups, now.steps):
            return []
        return [
            f"{self.steps} batches on ranks {self.dataset_group_list}; now it would be {now.steps} on "
            f"{now.dataset_group_list}, or tiles shared otherwise"
        ]

"""Plan of the tiles that each data rank reads in an epoch, as an .npz file."""

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
    """Data set in a plan, read by `ranks` ranks from number `first_rank` on.

    `batches` is the number of batches of a rank in one pass over its tiles, `tile_cost` the cost of a tile
    with all its variables, and `files_digest` the digest of the data set's inventory.
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
    """Tiles `first` to `first + tiles` of a file, given by its number in the inventory of the data set."""

    dataset: str
    file: int
    first: int
    tiles: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Tiles that each of `ranks` data ranks reads in an epoch; made by `make_plan` or loaded from a file.

    `steps` is the number of batches of each rank. The runs of rank r are rows `offsets[r]` to `offsets[r +
    1]` of `runs` `[M, 4]` (data set, file, first tile, tiles), and their cost is `loads[r]`. `layout` holds
    the options that the tiles depend on, such as their size. The arrays of a loaded plan are memory maps, so
    that a rank reads only its own rows.
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
        """Largest load divided by mean load; 1 is perfect."""
        return float(self.loads.max() / self.loads.mean())

    @property
    def batches_per_rank_epoch(self) -> dict[str, int]:
        """Number of batches of a rank for one pass over each data set: the config key of this name."""
        return {part.name: part.batches for part in self.parts}

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of ranks of each data set; empty if all ranks read all data sets."""
        return () if self.interleaved else tuple(part.ranks for part in self.parts)

    @property
    def dataset_group_list(self) -> str | None:
        """Value of the config key of this name: `groups` with colons between them."""
        return ":".join(map(str, self.groups)) or None

    def passes(self, part: PlannedDataset) -> float:
        """Returns how often a data set is read in an epoch; the last pass may be incomplete."""
        return 1.0 if self.interleaved else self.steps / part.batches

    def imbalance_of(self, part: PlannedDataset) -> float:
        """Returns the largest load divided by the mean load of the ranks that read a data set."""
        loads = self.loads[part.first_rank : part.first_rank + part.ranks]
        return float(loads.max() / loads.mean())

    def tiles_of_rank(self, rank: int) -> Iterator[PlannedTiles]:
        """Yields the tiles that data rank `rank` reads in one pass, in the order of the files."""
        for dataset, file, first, tiles in self.runs[self.offsets[rank] : self.offsets[rank + 1]].tolist():
            yield PlannedTiles(self.parts[dataset].name, file, first, tiles)

    def save(self, path: Path) -> None:
        """Writes the plan to `path`, an uncompressed .npz file. Raises UserError."""
        metadata = {
            "ranks": self.ranks,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "interleaved": self.interleaved,
            "layout": dict(self.layout),
            "parts": [asdict(part) for part in self.parts],
        }
        arrays = {name: getattr(self, name) for name in ("offsets", "runs", "loads")}
        npz_arrays.save(path, KIND, metadata, arrays)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Returns the plan in the file `path`, as memory maps. Raises UserError."""
        metadata, arrays = npz_arrays.load(path, KIND)
        try:
            parts = tuple(PlannedDataset(**part) for part in metadata.pop("parts"))
            return cls(parts=parts, **{**metadata, **arrays})
        except (KeyError, TypeError):
            raise npz_arrays.version_error(path, KIND) from None

    def describe_differences(self, now: Plan) -> list[str]:
        """Returns why this plan does not fit the data and ranks of plan `now`; empty if it fits."""
        reasons = [
            f"{key} is {after}, the plan is for {before}"
            for key, before, after in [
                ("the number of data ranks", self.ranks, now.ranks),
                ("data.batch_size", self.batch_size, now.batch_size),
                *((key, self.layout.get(key), now.layout.get(key)) for key in {**self.layout, **now.layout}),
            ]
            if before != after
        ]
        unmatched = {part.name: part for part in self.parts}
        for part in now.parts:
            before = unmatched.pop(part.name, None)
            if before is None:
                reasons.append(f"data set {part.name} is not in the plan")
            elif (before.files, before.tiles) != (part.files, part.tiles):
                reasons.append(
                    f"{part.name} has {part.files} files with {part.tiles} tiles, the plan is for "
                    f"{before.files} with {before.tiles}"
                )
            elif before.files_digest != part.files_digest:
                reasons.append(f"{part.name} has other files, or files of other shapes")
            elif before.tile_cost != part.tile_cost:
                reasons.append(
                    f"a tile of {part.name} costs {part.tile_cost:g}, {before.tile_cost:g} in the plan"
                )
        reasons += [f"data set {name} of the plan is not in the config" for name in unmatched]
        return reasons or self._describe_other_runs(now)

    def _describe_other_runs(self, now: Plan) -> list[str]:
        same = all(
            np.array_equal(getattr(self, name), getattr(now, name)) for name in ("offsets", "runs", "loads")
        )
        if same and (self.groups, self.steps) == (now.groups, now.steps):
            return []
        return [
            f"{self.steps} batches on ranks {self.dataset_group_list}; now it would be {now.steps} on "
            f"{now.dataset_group_list}, or tiles shared otherwise"
        ]

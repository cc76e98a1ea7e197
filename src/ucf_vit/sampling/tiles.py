"""Selected tiles of a run, to compare samples with, and their trees, to generate samples along."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ucf_vit.config import Run, Split
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets


@dataclass(frozen=True)
class TileFilter:
    """Filter of tiles by data set, class (number and name) and channels; None: any."""

    dataset: str | None = None
    label: int | None = None
    variables: tuple[str, ...] | None = None
    class_name: str | None = None

    def rows(self, batch: Batch) -> Tensor:
        """Returns the mask `[B]` of the selected samples of a batch."""
        fits = self.dataset in (None, batch.dataset) and self.variables in (None, batch.variables)
        rows = torch.full((len(batch),), fits)
        if self.label is not None and batch.label is not None and batch.label.ndim == 1:
            rows &= batch.label == self.label
        return rows

    def __str__(self) -> str:
        named = {
            "data set": self.dataset,
            "class": self.class_name,
            "variables": self.variables and ", ".join(self.variables),
        }
        return "; ".join(f"{name} {value}" for name, value in named.items() if value is not None) or "all"


def tiles(
    run: Run,
    selection: TileFilter,
    *,
    held_out: bool,
    record: Record | None = None,
    shuffle_seed: int | None = None,
    patcher: AdaptivePatcher | None = None,
) -> Generator[tuple[Batch, Tensor], None, None]:
    """Yields batches of the run's tiles, each with the mask of selected rows; one pass, not augmented.

    Class numbers and normalization are those of `record`. With `shuffle_seed` the tiles are shuffled, with
    `patcher` their trees are grown.
    """
    split: Split = "validation" if held_out else "training"
    datasets = [one for one in build_datasets(run, Scratch(), split, record=record) if len(one)]
    if not datasets:
        return
    stream = Stream(
        datasets,
        batch_size=run.data.batch_size,
        seed=shuffle_seed or 0,
        shuffle=shuffle_seed is not None,
        single_channel=run.data.single_channel,
        num_workers=run.data.num_workers,
        on_error=run.data.on_error,
        max_errors=run.data.max_errors,
        patcher=patcher,
        draw_trees=False,
    )
    with closing(stream):
        for batch in stream:
            rows = selection.rows(batch)
            if rows.any():
                yield batch, rows


@dataclass(frozen=True)
class Trees:
    """Trees of tiles, of which `held_out` are of held-out tiles; samples take them in turn."""

    leaves: Leaves
    held_out: int

    def __len__(self) -> int:
        return len(self.leaves.level) // self.leaves.trees

    def of(self, numbers: range) -> Leaves:
        """Returns the leaves of the samples with these numbers."""
        trees = self.leaves.trees
        samples = torch.tensor(numbers) % len(self)
        return rows_of(self.leaves, (samples[:, None] * trees + torch.arange(trees)).flatten())


def find_trees(
    run: Run, record: Record, patcher: AdaptivePatcher, selection: TileFilter, number: int, seed: int
) -> Trees:
    """Returns the trees of up to `number` tiles: held-out ones, then training ones, shuffled by `seed`.

    Raises UserError if there are none.
    """
    parts: list[Leaves] = []
    counts: list[int] = []
    for held_out in (True, False):
        missing = number - sum(counts)
        if missing:
            batches = tiles(
                run, selection, held_out=held_out, record=record, shuffle_seed=seed, patcher=patcher
            )
            counts.append(_collect(batches, missing, parts))
    if not parts:
        raise UserError(f"no tiles ({selection}): samples of adaptive patches need the trees of some")
    return Trees(concatenate(parts), counts[0])


def _collect(batches: Generator[tuple[Batch, Tensor], None, None], number: int, parts: list[Leaves]) -> int:
    """Appends the leaves of up to `number` tiles to `parts`; returns the number of tiles."""
    taken = 0
    with closing(batches):
        for batch, rows in batches:
            assert batch.leaves is not None
            samples = rows.nonzero().flatten()[: number - taken]
            trees = batch.leaves.trees
            parts.append(rows_of(batch.leaves, (samples[:, None] * trees + torch.arange(trees)).flatten()))
            taken += len(samples)
            if taken == number:
                break
    return taken


def rows_of(leaves: Leaves, rows: Tensor) -> Leaves:
    """Returns the trees of `leaves` with these indices."""
    valid = None if leaves.valid is None else leaves.valid[rows]
    return replace(leaves, start=leaves.start[rows], level=leaves.level[rows], valid=valid)


def concatenate(parts: list[Leaves]) -> Leaves:
    """Returns all trees of `parts`, one after the other."""
    valid = [part.valid for part in parts if part.valid is not None]
    return replace(
        parts[0],
        start=torch.cat([part.start for part in parts]),
        level=torch.cat([part.level for part in parts]),
        valid=torch.cat(valid) if valid else None,
    )

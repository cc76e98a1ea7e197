"""Loader: an endless sequence of epochs that can be stopped and resumed at any batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Batch, Skipped
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.augment import AUGMENTATIONS, IMAGE_ONLY, Augmentation
from ucf_vit.data.loader.batch_trees import leaves_in
from ucf_vit.data.loader.fingerprint import check_fingerprint, fingerprint_of, items_digest
from ucf_vit.data.loader.shared_memory import Tensors
from ucf_vit.data.loader.skipped_files import SkippedFiles
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.loader.tileset import Filled, TileSet
from ucf_vit.data.loader.workers import Workers
from ucf_vit.data.order.epoch_order import EpochOrder, Group
from ucf_vit.data.order.global_order import GlobalOrder
from ucf_vit.data.order.rank_order import RankOrder
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.planning.plan import Plan

log = logging.getLogger(__name__)


class Stream(IterableDataset[Batch]):
    """Batches of this data rank, each of one data set (and of one variable with `single_channel`).

    Iterating yields the remaining batches of the epoch, then moves on to the next epoch. Rank r of `ranks`
    gets its slice of each global batch of `batch_size * ranks` tiles. The order is a function of (seed,
    epoch) only: the number of workers or ranks does not change it. Each tile comes once per epoch. A data
    set's last batch may be smaller, and a rank that gets no tile of it gets a batch that does not count
    (`Batch.counts`). With a `plan` each rank reads tiles of its own instead. An interrupted epoch can
    continue with another number of ranks or another batch size; the remaining tiles are distributed anew. See
    `GlobalOrder` for `shuffle`, and `RankOrder`.

    `augmentation` is the name of a recipe, an Augmentation or None; `keep_orientation` removes its flips and
    rotations. With a `patcher`, the trees of adaptive patching are grown here from the finished tiles
    (`Batch.leaves`); without `draw_trees` (evaluation) their random parameters have their middle values. With
    `pin_memory`, batches are in page-locked memory where there is a CUDA or ROCm device.

    `on_error`: "fail" raises DataError with the file and the cause; "skip" replaces an unreadable tile by the
    next readable one and reports the file in `Batch.skipped` and `skipped`. More than `max_errors` unreadable
    files raise DataError.

    Stream is an IterableDataset with a state: torchdata's nodes and StatefulDataLoader accept it, without
    worker processes of their own.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        shuffle: bool = True,
        single_channel: bool = False,
        augmentation: str | Augmentation | None = None,
        keep_orientation: bool = False,
        plan: Plan | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
        prefetch: int = 2,
        on_error: Literal["fail", "skip"] = "fail",
        max_errors: int = 10,
        start_method: str | None = None,
        patcher: AdaptivePatcher | None = None,
        draw_trees: bool = True,
    ) -> None:
        parts = split(datasets, single_channel)
        groups = [Group(d.name, _group_name(d, c, single_channel), d.counts, d.buffer_size) for d, c in parts]
        self.order: EpochOrder[Any] = (
            GlobalOrder(groups, batch_size, seed, rank, ranks, shuffle)
            if plan is None
            else RankOrder.of(plan, groups, seed, rank)
        )
        _check(groups)
        self._fingerprint = fingerprint_of(self.order, items_digest(datasets))
        self.epoch = 0
        self.position = 0
        self._part: Any = self.order.full_epoch
        self._skipped = SkippedFiles(max_errors)
        self._skipped.add(skip for dataset in datasets for skip in dataset.skipped)
        self._pinned = pin_memory and torch.cuda.is_available()
        self._readers = [TileReader(d, c, _augmentation(augmentation, d, keep_orientation)) for d, c in parts]
        self._tiles = TileSet(self._readers, self.order, on_error == "skip", patcher, draw_trees)
        self._layouts = self._tiles.layouts
        self._workers = (
            Workers(self._tiles, batch_size, num_workers, prefetch, start_method) if num_workers else None
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Unreadable files so far, each once."""
        return self._skipped.files

    def __len__(self) -> int:
        """Returns the number of batches of a full epoch on this rank."""
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info() is not None:
            raise UserError(
                "a Stream in a worker of another loader reads all data once per worker; it has workers of "
                "its own: give num_workers to the Stream, and 0 to the other loader"
            )
        try:
            for filled, tensors in self._filled():
                if filled.error is not None:
                    raise DataError(filled.error)
                self._skipped.add(filled.skipped)
                self.position += 1
                if filled.items:
                    yield self._batch(filled, tensors)
        except Exception:
            self.close()
            raise
        if self._skipped:
            log.warning("epoch %d: %d unreadable files skipped so far", self.epoch, len(self._skipped))
        self.epoch += 1
        self.position = 0
        self._part = self.order.full_epoch

    @property
    def left(self) -> int:
        """Number of batches left in this epoch on this rank."""
        return self.order.count(self.epoch, self._part) - self.position

    def death(self, error: RuntimeError) -> DataError | None:
        """Returns the DataError for an error by which torch reports that a worker process died, else None."""
        return None if self._workers is None else self._workers.death(error)

    def close(self) -> None:
        """Ends the worker processes; the next iteration starts new ones."""
        if self._workers is not None:
            self._workers.close()

    def state_dict(self) -> dict[str, Any]:
        """Returns the position, the state of the order, and a fingerprint of everything that must stay the
        same.
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            **self.order.state(self._part),
            **self._fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from `state`, with any number of workers and ranks and any batch size.

        The rest of the epoch consists of the tiles not seen yet, each once. Raises CheckpointError where
        `state` belongs to other data or, without shuffling, to another number of ranks or batch size,
        and ValueError where `state` is past the end of its epoch.
        """
        check_fingerprint(state, self._fingerprint)
        self.epoch = int(state["epoch"])
        self.position, self._part = self.order.resume(state)
        if self.left < 0:
            raise ValueError(f"position {state['position']} is past the end of its epoch")

    def _filled(self) -> Iterator[tuple[Filled, Tensors]]:
        """Yields the remaining batches of the epoch."""
        requests = self.order.requests(self.epoch, self.position, self._part)
        if self._workers is not None:
            yield from self._workers.run(requests, self._pinned)
            return
        for request in requests:
            tensors = self._layouts[request.group].new(len(request.tiles), self._pinned)
            yield self._tiles.fill(request, tensors), tensors

    def _batch(self, filled: Filled, tensors: Tensors) -> Batch:
        reader, patcher = self._readers[filled.group], self._tiles.patcher
        kept = {name: tensor[: len(filled.items)] for name, tensor in tensors.items()}
        return Batch(
            image=kept["image"],
            label=kept.get("label"),
            variables=reader.variables,
            dataset=reader.dataset.name,
            files=tuple(reader.dataset.items[number].image for number in filled.items),
            keys=torch.from_numpy(filled.keys),
            skipped=filled.skipped,
            leaves=None if patcher is None else leaves_in(kept, patcher),
            per_rank=filled.per_rank,
            counts=filled.counts,
            extra={name: kept[name] for name in reader.kinds},
            kinds=reader.kinds,
            items=filled.items,
        )


def split(datasets: Sequence[Dataset], single_channel: bool) -> list[tuple[Dataset, tuple[int, ...]]]:
    """Returns each data set with its channels, or with each channel separately."""
    if not single_channel:
        return [(dataset, dataset.channels) for dataset in datasets]
    return [(dataset, (channel,)) for dataset in datasets for channel in dataset.channels]


def _group_name(dataset: Dataset, channels: tuple[int, ...], single_channel: bool) -> str:
    return f"{dataset.name}/{dataset.source.variables[channels[0]]}" if single_channel else dataset.name


def _augmentation(given: str | Augmentation | None, dataset: Dataset, keep: bool) -> Augmentation | None:
    chosen = AUGMENTATIONS[given](dataset.tile_size, _modes(dataset)) if isinstance(given, str) else given
    return replace(chosen, flips=(), exchange=False) if chosen is not None and keep else chosen


def _modes(dataset: Dataset) -> dict[str, str]:
    """Returns the interpolation mode of each array of a sample that is on the grid of its image."""
    label = {"label": "nearest"} if dataset.items[0].label is not None else {}
    arrays = dataset.source.arrays.items()
    return {**IMAGE_ONLY, **label, **{name: spec.interpolation for name, spec in arrays if spec.on_grid}}


def _check(groups: Sequence[Group]) -> None:
    """Raises DataError where there is no group, or one without tiles."""
    if not groups:
        raise DataError("no data set to read: dict_root_dirs is empty")
    for group in groups:
        if not group.size:
            raise DataError(f"{group.name}: no item in the range; widen dict_start_idx to dict_end_idx")

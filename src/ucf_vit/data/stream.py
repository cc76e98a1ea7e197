"""The loader: an endless sequence of epochs of batches that can be stopped and taken up anywhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.data.augment import AUGMENTATIONS, Augmentation
from ucf_vit.data.batch import Batch, Skipped
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.handover import Tensors
from ucf_vit.data.order import Group, Order
from ucf_vit.data.rank_order import RankOrder
from ucf_vit.data.reader import TileReader
from ucf_vit.data.tileset import Filled, TileSet
from ucf_vit.data.trees import leaves_in
from ucf_vit.data.workers import Workers
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.planning.plan import Plan

log = logging.getLogger(__name__)


class Stream:
    """Batches of this data rank, each of one data set (and one variable with `single_channel`).

    Iterating yields the batches left in the epoch, then moves on to the next epoch. Rank r of `ranks` gets
    its slice of each global batch of `batch_size * ranks` tiles; the order is a function of (seed, epoch)
    alone, so neither the number of workers nor that of ranks changes it. With a `plan` it reads tiles of its
    own instead. An epoch that was stopped halfway goes on with other ranks or batches too, with the tiles
    that were not seen. See `Order` for what `shuffle` means and what is left out, and `RankOrder`.
    `augmentation` is a recipe's name, an Augmentation or None; `keep_orientation` takes its flips and
    rotations out. With `patcher`, the trees of adaptive patching grow here, from finished
    tiles: `Batch.leaves`; without `draw_trees` (evaluation) whatever is drawn for them has its middle value.
    Batches are in page-locked memory with `pin_memory` where there is a CUDA or ROCm device.

    `on_error`: "fail" raises DataError with the file and the cause; "skip" puts the next readable tile in the
    place and says so in `Batch.skipped` and `skipped`, until more than `max_errors` files were unreadable.
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
        self.order: Order | RankOrder
        if plan is None:
            self.order = Order(groups, batch_size, seed, rank, ranks, shuffle)
        else:
            self.order = RankOrder.of(plan, groups, seed, rank)
        _check(self.order)
        self.epoch = 0
        self.position = 0
        self._rest: Any = self.order.whole
        self.max_errors = max_errors
        self._skipped: dict[str, str] = {}
        self._count(skip for dataset in datasets for skip in dataset.skipped)
        self._pinned = pin_memory and torch.cuda.is_available()
        self._readers = [TileReader(d, c, _augmentation(augmentation, d, keep_orientation)) for d, c in parts]
        self._tiles = TileSet(self._readers, self.order, on_error == "skip", patcher, draw_trees)
        self._layouts = self._tiles.layouts
        self._workers = (
            Workers(self._tiles, batch_size, num_workers, prefetch, start_method) if num_workers else None
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The unreadable files met so far, each once."""
        return tuple(Skipped(file, cause) for file, cause in self._skipped.items())

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank."""
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        try:
            for filled, tensors in self._filled():
                if filled.error is not None:
                    raise DataError(filled.error)
                self._count(filled.skipped)
                self.position += 1
                if filled.files:
                    yield self._batch(filled, tensors)
        except Exception:
            self.close()
            raise
        if self._skipped:
            log.warning("epoch %d: %d unreadable files skipped so far", self.epoch, len(self._skipped))
        self.epoch += 1
        self.position = 0
        self._rest = self.order.whole

    @property
    def left(self) -> int:
        """Batches left of this epoch on this rank."""
        return self.order.count(self.epoch, self._rest) - self.position

    def close(self) -> None:
        """End the worker processes; the next batch would start new ones."""
        if self._workers is not None:
            self._workers.close()

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, what made the epoch's batches, and what has to be the same to go on."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            **self.order.state(self._rest),
            **self._fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, with any number of workers, ranks and tiles in a batch.

        The rest of the epoch has the tiles that were not seen in it, each once. CheckpointError where `state`
        is of other data, or, without shuffling, of other ranks or batches.
        """
        for key, value in self._fingerprint().items():
            if state.get(key) != value:
                raise CheckpointError(
                    f"the loader can't go on from the checkpoint: {_MEANING[key]} was {state.get(key)!r}, "
                    f"is now {value!r}; restore it, or start a new run"
                )
        self.epoch = int(state["epoch"])
        self.position, self._rest = self.order.go_on(state)

    def _filled(self) -> Iterator[tuple[Filled, Tensors]]:
        """What is left of the epoch."""
        requests = self.order.requests(self.epoch, self.position, self._rest)
        if self._workers is not None:
            yield from self._workers.run(requests, self._pinned)
            return
        for request in requests:
            tensors = self._layouts[request.group].new(len(request.tiles), self._pinned)
            yield self._tiles.fill(request, tensors), tensors

    def _batch(self, filled: Filled, tensors: Tensors) -> Batch:
        reader, patcher = self._readers[filled.group], self._tiles.patcher
        kept = {name: tensor[: len(filled.files)] for name, tensor in tensors.items()}
        return Batch(
            image=kept["image"],
            label=kept.get("label"),
            variables=reader.variables,
            dataset=reader.dataset.name,
            files=filled.files,
            keys=torch.from_numpy(filled.keys),
            skipped=filled.skipped,
            leaves=None if patcher is None else leaves_in(kept, patcher),
        )

    def _fingerprint(self) -> dict[str, int | str]:
        order = self.order
        tiles = ", ".join(f"{group.name}: {group.size}" for group in order.groups)
        places = {} if order.shuffle else {"global_batch": order.global_batch, "ranks": order.ranks}
        return {"seed": order.seed, "tiles": tiles, **places}

    def _count(self, skipped: Iterable[Skipped]) -> None:
        for one in skipped:
            if one.file not in self._skipped:
                log.warning("skipped an unreadable file: %s", one.cause)
                self._skipped[one.file] = one.cause
        if len(self._skipped) > self.max_errors:
            shown = "; ".join(list(self._skipped.values())[:3])
            count = len(self._skipped)
            raise DataError(
                f"{count} unreadable files, more than data.max_errors = {self.max_errors}: {shown}"
            )


_MEANING = {
    "seed": "the seed (trainer.seed)",
    "global_batch": "the global batch (data.batch_size x ranks)",
    "ranks": "the number of ranks",
    "tiles": "the number of tiles of each data set",
}


def volumes(
    datasets: Sequence[Dataset],
    *,
    rank: int = 0,
    ranks: int = 1,
    single_channel: bool = False,
    on_error: Literal["fail", "skip"] = "fail",
) -> Iterator[Batch]:
    """Whole items, normalised as their tiles are, in batches of one `[1, C, *S]`.

    This rank gets items rank, rank + ranks, ... of each data set; ranks may differ by one item. Keys are 0.
    With `on_error` "skip" unreadable items are left out; the next batch says so in `skipped`.
    """
    skipped: list[Skipped] = []
    for dataset, channels in split(datasets, single_channel):
        reader = TileReader(dataset, channels)
        for number in range(rank, len(dataset.items), ranks):
            file = dataset.items[number].image
            try:
                image, label = reader.whole(number)
            except DataError as error:
                if on_error == "fail":
                    raise
                log.warning("skipped an unreadable file: %s", error)
                skipped.append(Skipped(file, str(error)))
                continue
            yield Batch(
                image=torch.from_numpy(image)[None],
                label=None if label is None else torch.from_numpy(label)[None],
                variables=reader.variables,
                dataset=dataset.name,
                files=(file,),
                keys=torch.zeros(1, dtype=torch.int64),
                skipped=tuple(skipped),
            )
            skipped = []


def examples(datasets: Sequence[Dataset], single_channel: bool = False) -> Iterator[Batch]:
    """One tile of each data set, not augmented: the middle one of the first item that can be read."""
    for dataset in datasets:
        reader = TileReader(dataset, dataset.channels[:1] if single_channel else dataset.channels)
        tensors = reader.layout.new(1, pinned=False)
        row = {name: tensor[0].numpy() for name, tensor in tensors.items()}
        for end, tiling in zip(dataset.ends.tolist(), dataset.tilings, strict=True):
            middle = int(np.ravel_multi_index([count // 2 for count in tiling.counts], tiling.counts))
            try:
                file = reader.read(end - len(tiling) + middle, 0, row["image"], row.get("label"))
            except DataError:
                continue
            yield Batch(
                image=tensors["image"],
                label=tensors.get("label"),
                variables=reader.variables,
                dataset=dataset.name,
                files=(file,),
                keys=torch.zeros(1, dtype=torch.int64),
            )
            break


def split(datasets: Sequence[Dataset], single_channel: bool) -> list[tuple[Dataset, tuple[int, ...]]]:
    """Each data set with its channels, or with each of them by itself."""
    if not single_channel:
        return [(dataset, dataset.channels) for dataset in datasets]
    return [(dataset, (channel,)) for dataset in datasets for channel in dataset.channels]


def _group_name(dataset: Dataset, channels: tuple[int, ...], single_channel: bool) -> str:
    return f"{dataset.name}/{dataset.source.variables[channels[0]]}" if single_channel else dataset.name


def _augmentation(given: str | Augmentation | None, dataset: Dataset, keep: bool) -> Augmentation | None:
    chosen = AUGMENTATIONS[given](dataset.tile_size) if isinstance(given, str) else given
    return replace(chosen, flips=(), exchange=False) if chosen is not None and keep else chosen


def _check(order: Order | RankOrder) -> None:
    if not order.groups:
        raise DataError("no data set to read: dict_root_dirs is empty")
    for group in order.groups:
        if not group.size:
            raise DataError(f"{group.name}: no item in the range; widen dict_start_idx to dict_end_idx")
    if len(order) == 0 and order.shuffle:
        sizes = ", ".join(f"{group.name}: {group.size}" for group in order.groups)
        raise DataError(
            f"not one batch for {order.ranks} ranks ({sizes} tiles): use fewer ranks or more data"
        )

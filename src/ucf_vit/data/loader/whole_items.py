"""Batches outside the order of an epoch: whole items, and one example tile per data set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Batch, Skipped
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import split
from ucf_vit.data.loader.tile_reader import TileReader

log = logging.getLogger(__name__)


def volumes(
    datasets: Sequence[Dataset],
    *,
    rank: int = 0,
    ranks: int = 1,
    single_channel: bool = False,
    original: bool = False,
    on_error: Literal["fail", "skip"] = "fail",
    on_skip: Callable[[Skipped], None] = lambda skipped: None,
) -> Iterator[Batch]:
    """Yields whole items, normalised like their tiles, in batches of one `[1, C, *S]`.

    This rank gets items rank, rank + ranks, ... of each data set, so ranks may differ by one item. Keys are
    0. With `original` a batch has the label on the grid on which the item is stored, too, where that is
    another one. With `on_error` "skip" unreadable items are left out; `on_skip` is called for each, and the
    next batch lists them in `skipped`. The first rank also reports items without a readable header or a
    label.
    """
    skipped = [] if rank else [one for dataset in datasets for one in dataset.skipped]
    for one in skipped:
        log.warning("skipped an unreadable file: %s", one.cause)
        on_skip(one)
    for dataset, channels in split(datasets, single_channel):
        reader = TileReader(dataset, channels)
        for number in range(rank, len(dataset.items), ranks):
            file = dataset.items[number].image
            try:
                sample = reader.whole(number)
                stored = reader.original(number) if original else None
            except DataError as error:
                if on_error == "fail":
                    raise
                log.warning("skipped an unreadable file: %s", error)
                skipped.append(Skipped(file, str(error)))
                on_skip(skipped[-1])
                continue
            yield Batch(
                image=torch.from_numpy(sample.image)[None],
                label=None if sample.label is None else torch.from_numpy(sample.label)[None],
                variables=reader.variables,
                dataset=dataset.name,
                files=(file,),
                keys=torch.zeros(1, dtype=torch.int64),
                skipped=tuple(skipped),
                extra={name: torch.from_numpy(array)[None] for name, array in sample.extra.items()},
                kinds=reader.kinds,
                original=stored,
                items=(number,),
            )
            skipped = []


def examples(datasets: Sequence[Dataset], single_channel: bool = False) -> Iterator[Batch]:
    """Yields one tile of each data set without augmentation: the middle tile of the first readable item."""
    for dataset in datasets:
        reader = TileReader(dataset, dataset.channels[:1] if single_channel else dataset.channels)
        tensors = reader.layout.new(1, pinned=False)
        row = {name: tensor[0].numpy() for name, tensor in tensors.items()}
        for end, tiling in zip(dataset.ends.tolist(), dataset.tilings, strict=True):
            middle = int(np.ravel_multi_index([count // 2 for count in tiling.counts], tiling.counts))
            try:
                number = reader.read(end - len(tiling) + middle, 0, row)
            except DataError:
                continue
            yield Batch(
                image=tensors["image"],
                label=tensors.get("label"),
                variables=reader.variables,
                dataset=dataset.name,
                files=(dataset.items[number].image,),
                keys=torch.zeros(1, dtype=torch.int64),
                extra={name: tensors[name] for name in reader.kinds},
                kinds=reader.kinds,
                items=(number,),
            )
            break

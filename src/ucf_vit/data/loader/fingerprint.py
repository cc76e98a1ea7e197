"""Fingerprint of a stream: everything that must stay the same for a run to resume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.files.digests import digest_of
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.order.epoch_order import EpochOrder

_MEANING = {
    "seed": "the seed (trainer.seed)",
    "global_batch": "the global batch (data.batch_size x ranks)",
    "ranks": "the number of ranks",
    "tiles": "the number of tiles of each data set",
    "files": "the hash of the names of all items and their tiles",
    "buffers": "the shuffle buffer of each data set (data.dict_buffer_sizes)",
}


def items_digest(datasets: Sequence[Dataset]) -> str:
    """Returns a hash of the data sets' items and their tiles, independent of where the files are."""
    return digest_of(part for dataset in datasets for part in _parts(dataset))


def _parts(dataset: Dataset) -> Iterator[str | bytes]:
    yield from (f"{dataset.name}/{item.stratum}/{item.key}" for item in dataset.items)
    yield dataset.counts.tobytes()


def fingerprint_of(order: EpochOrder[Any], files: str) -> dict[str, int | str]:
    """Returns the fingerprint of an order of tiles from `files`, a digest of the items."""
    tiles = ", ".join(f"{group.name}: {group.size}" for group in order.groups)
    buffers = ", ".join(f"{group.name}: {group.buffer}" for group in order.groups)
    layout = {} if order.shuffle else {"global_batch": order.global_batch, "ranks": order.ranks}
    return {"seed": order.seed, "tiles": tiles, "files": files, "buffers": buffers, **layout}


def check_fingerprint(state: Mapping[str, Any], now: Mapping[str, int | str]) -> None:
    """Raises CheckpointError where a stream with the fingerprint `now` can't resume from `state`."""
    for key, value in now.items():
        if state.get(key) != value:
            raise CheckpointError(
                f"the loader can't resume from the checkpoint: {_MEANING[key]} was {state.get(key)!r}, "
                f"is now {value!r}; restore it, or start a new run"
            )

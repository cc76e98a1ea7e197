"""Trees of adaptive patching for a batch: grown in the worker that reads it, sent as small integers."""

from __future__ import annotations

import torch
from torch import Tensor

from ucf_vit.data.loader.shared_memory import BatchPart, Tensors
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patcher import AdaptivePatcher


def parts(patcher: AdaptivePatcher, channels: int) -> dict[str, BatchPart]:
    """Returns the tensors that store the leaves of a sample with `channels` channels, with axes `[T, L]`.

    See `Leaves`.
    """
    shape = (channels if patcher.separate_channels else 1, patcher.length)
    tensors = {
        "tree.start": BatchPart((*shape, patcher.forest.dims), torch.int64, torch.int32),
        "tree.level": BatchPart(shape, torch.int64, torch.uint8),
    }
    return (
        tensors if patcher.all_valid else {**tensors, "tree.valid": BatchPart(shape, torch.bool, torch.bool)}
    )


def grow(patcher: AdaptivePatcher, tensors: Tensors, rows: int, keys: Tensor | None) -> None:
    """Grows the trees of the first `rows` images and writes their leaves into the other tensors.

    `keys` is passed to the patcher.
    """
    leaves = patcher.grow(tensors["image"][:rows], keys)
    for name in ("start", "level", "valid"):
        if f"tree.{name}" in tensors:
            into = tensors[f"tree.{name}"][:rows]
            into.copy_(getattr(leaves, name).view(into.shape))


def leaves_in(tensors: Tensors, patcher: AdaptivePatcher) -> Leaves:
    """Returns the leaves stored in `tensors`."""
    return Leaves(
        patcher.forest,
        tensors["tree.start"].flatten(0, 1),
        tensors["tree.level"].flatten(0, 1),
        tensors["tree.valid"].flatten(0, 1) if "tree.valid" in tensors else None,
        trees=tensors["tree.level"].shape[1],
    )

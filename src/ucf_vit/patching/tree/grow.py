"""Growth of trees from maps of detail, for a whole batch at once.

The rule is greedy: split the leaf with most detail until there are enough leaves. A child never has more
detail than its parent, so a greedy loop splits exactly the K nodes with most detail among all nodes that can
be split. Ties go to the coarser node, then to the first in row-major order. A top-k therefore replaces the
loop. Each axis is counted from the end at which more of the smallest nodes that can be split have detail, so
that a mirrored map gives the mirrored leaves.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import generator
from ucf_vit.patching.tree.blocks import block_sums
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.split_nodes import leaves_of_split_nodes, nonzero_columns


def grow_trees(detail: Tensor, forest: Forest, length: int, threshold: float | None = None) -> Leaves:
    """Returns the leaves of trees grown by splitting the leaf with most detail until there are `length`.

    `detail` `[N, *S]`, integer or float, is not negative; each of the N trees is grown on its own. With
    `threshold`, only leaves with more detail than that are split. All `length` leaves are valid, unless the
    threshold or the number of cells ends the growth earlier, or no number of splits gives `length` (a split
    adds 2**d - 1 leaves): then the remaining ones are invalid. Raises UserError as `Forest.splits` and
    `sum_nodes` do.
    """
    totals = sum_nodes(detail, forest)
    split = _top_nodes(totals, forest.splits(length), forest)
    if threshold is not None:
        split &= totals > threshold
    leaves = leaves_of_split_nodes(split, forest)
    if threshold is None and leaves.length == length:
        return replace(leaves, valid=None)
    return _pad(leaves, length)


def grow_trees_and_drop(
    detail: Tensor, forest: Forest, length: int, threshold: float, keys: Tensor | None = None
) -> Leaves:
    """Returns the leaves of trees in which every leaf with more detail than `threshold` is split.

    If there are more than `length` leaves, `length` of them are kept at random: the rule of Zhang et al. 2024
    (adaptive patch framework). Dropped leaves leave holes in the image. The choice is a function of `keys`
    `[N]` int64; without keys it is the same for all trees.
    """
    leaves = leaves_of_split_nodes(sum_nodes(detail, forest) > threshold, forest)
    if leaves.length <= length:
        return _pad(leaves, length)
    selected = torch.zeros_like(leaves.level, dtype=torch.bool)
    for row, num_leaves in enumerate(leaves.counts.tolist()):
        rng = generator(0 if keys is None else int(keys[row]), "drop")
        selected[row, torch.randperm(num_leaves, generator=rng)[:length].to(selected.device)] = True
    numbers, valid = nonzero_columns(selected)
    start = leaves.start.gather(1, numbers[..., None].expand(-1, -1, forest.dims))
    return _pad(Leaves(forest, start, leaves.level.gather(1, numbers), valid), length)


def sum_nodes(detail: Tensor, forest: Forest) -> Tensor:
    """Returns the detail in all nodes that can be split, `[N, num_inner]`: by level, in row-major order.

    Integers are summed as integers, and floats so that no child exceeds its parent. Raises UserError if the
    map does not have the shape of the tile, or if values are not finite or too large to be summed.
    """
    if detail.ndim != 1 + forest.dims or tuple(detail.shape[1:]) != forest.space:
        raise UserError(
            f"the detail map has shape {list(detail.shape)}; expected [trees, *{list(forest.space)}]"
        )
    levels: list[Tensor] = []
    for _ in range(forest.depth):
        if levels:
            levels.append(block_sums(levels[-1], (2,) * forest.dims))
        else:
            levels.append(block_sums(detail, [2 * side for side in forest.leaf], _sum_dtype(detail)))
    if not levels:
        return detail.new_empty(len(detail), 0)
    if not torch.isfinite(levels[-1]).all():
        raise UserError(
            f"the detail of a tile is not finite, summed as {levels[-1].dtype}: its map has values that are "
            "NaN, infinite or too large; scale it down"
        )
    return torch.cat([sums.flatten(1) for sums in reversed(levels)], dim=1)


def _sum_dtype(detail: Tensor) -> torch.dtype:
    if detail.dtype.is_floating_point:
        return detail.dtype if detail.dtype == torch.float64 else torch.float32
    largest = torch.iinfo(detail.dtype).max if detail.dtype != torch.bool else 1
    return torch.int32 if largest * detail[0].numel() < 2**31 else torch.int64


def _top_nodes(totals: Tensor, count: int, forest: Forest) -> Tensor:
    """Returns a mask `[N, num_inner]` of the `count` nodes with the largest totals; ties as defined above."""
    if count == 0:
        return torch.zeros_like(totals, dtype=torch.bool)
    # topk leaves the choice among equal totals open. All nodes above the smallest selected total are taken,
    # and of those equal to it the first ones by level and position.
    smallest = totals.topk(count, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    above, equal = totals > smallest, totals == smallest
    num_ties = count - above.sum(dim=1, keepdim=True)
    if bool((equal.sum(dim=1, keepdim=True) == num_ties).all()):
        return above | equal
    order = torch.stack([_order(forest, flips, totals.device) for flips in _flips(totals, forest)])
    first = equal.gather(1, order)
    first &= first.cumsum(dim=1, dtype=torch.int32) <= num_ties
    return above | first.gather(1, order)  # `order` is its own inverse


def _flips(totals: Tensor, forest: Forest) -> list[tuple[bool, ...]]:
    """Returns for each tree and axis whether nodes are counted from the end of the axis."""
    smallest = totals[:, forest.first_node(forest.depth - 1) :] > 0
    grid = smallest.view(-1, *(count << (forest.depth - 1) for count in forest.grid))
    axes = range(1, grid.ndim)
    counts = [grid.sum([other for other in axes if other != axis]).tolist() for axis in axes]
    return [tuple(along < along[::-1] for along in tree) for tree in zip(*counts, strict=True)]


@lru_cache(maxsize=8)
def _order(forest: Forest, flips: tuple[bool, ...], device: torch.device) -> Tensor:
    """Returns the order `[num_inner]` of nodes that can be split with axes flipped; it is its own inverse."""
    axes = [axis for axis, flip in enumerate(flips) if flip]
    levels = []
    for level in range(forest.depth):
        numbers = torch.arange(forest.first_node(level), forest.first_node(level + 1), device=device)
        levels.append(numbers.view(*(count << level for count in forest.grid)).flip(axes).flatten())
    return torch.cat(levels)


def _pad(leaves: Leaves, length: int) -> Leaves:
    """Returns the leaves padded to `length` with invalid ones; start and level of invalid leaves are 0."""
    missing = length - leaves.length
    valid = leaves.valid if leaves.valid is not None else torch.ones_like(leaves.level, dtype=torch.bool)
    return replace(
        leaves,
        start=F.pad(leaves.start * valid[..., None], (0, 0, 0, missing)),
        level=F.pad(leaves.level * valid, (0, missing)),
        valid=F.pad(valid, (0, missing)),
    )

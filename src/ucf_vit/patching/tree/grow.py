"""From a map of detail to leaves, for a whole batch at once.

The rule is greedy: split the leaf that holds most detail until there are enough leaves. A child never holds
more than its parent, so what the greedy loop splits are the K nodes with most detail of all nodes that can be
split, with ties in favour of the coarser node and then of the first in row-major order. No loop is needed.
Each axis is counted from the end where more of the smallest nodes that can be split hold detail, so that a
mirrored map gives the mirrored leaves.
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
from ucf_vit.patching.tree.leaves import Leaves, z_order


def grow(detail: Tensor, forest: Forest, length: int, threshold: float | None = None) -> Leaves:
    """Split the leaf with most detail until there are `length` leaves.

    `detail` `[N, *S]`, integer or float, is not negative; each of the N trees is grown by itself. With
    `threshold`, only leaves that hold more than that are split. There are exactly `length` leaves, all valid,
    unless the threshold or the number of cells ends it before, or no number of splits gives `length` (a split
    makes 2**d - 1 more): then the rest is not valid. UserError as `Forest.splits`.
    """
    totals = node_totals(detail, forest)
    split = _most(totals, forest.splits(length), forest)
    if threshold is not None:
        split &= totals > threshold
    leaves = _leaves_of(split, forest)
    if threshold is None and leaves.length == length:
        return replace(leaves, valid=None)
    return _fitted(leaves, length)


def grow_and_drop(
    detail: Tensor, forest: Forest, length: int, threshold: float, keys: Tensor | None = None
) -> Leaves:
    """Split every leaf that holds more than `threshold`; of too many leaves, keep `length` at random.

    The rule of Zhang et al. 2024 (adaptive patch framework). What is dropped leaves holes in the image; it is
    a function of `keys` `[N]` int64 (None: the same for all).
    """
    leaves = _leaves_of(node_totals(detail, forest) > threshold, forest)
    if leaves.length <= length:
        return _fitted(leaves, length)
    kept = torch.zeros_like(leaves.level, dtype=torch.bool)
    for row, there in enumerate((leaves.size > 0).sum(dim=1).tolist()):
        stream = generator(0 if keys is None else int(keys[row]), "drop")
        kept[row, torch.randperm(there, generator=stream)[:length].to(kept.device)] = True
    numbers, valid = _row_numbers(kept)
    start = leaves.start.gather(1, numbers[..., None].expand(-1, -1, forest.dims))
    return _fitted(Leaves(forest, start, leaves.level.gather(1, numbers), valid), length)


def node_totals(detail: Tensor, forest: Forest) -> Tensor:
    """Detail of all nodes that can be split, `[N, num_inner]`: coarse levels first, each in row-major order.

    Integers are summed as integers, and floats so that no child can exceed its parent. Raises UserError if
    the map has another shape than the tile, or values that are not finite or too large to be summed.
    """
    if detail.ndim != 1 + forest.dims or tuple(detail.shape[1:]) != forest.space:
        raise UserError(
            f"the detail map has shape {list(detail.shape)}; expected [trees, *{list(forest.space)}]"
        )
    levels: list[Tensor] = []
    for _ in range(forest.depth):
        if levels:
            levels.append(block_sums(levels[-1], 2))
        else:
            levels.append(block_sums(detail, 2 * forest.min_leaf, _type_of_sums(detail)))
    if not levels:
        return detail.new_empty(len(detail), 0)
    if not torch.isfinite(levels[-1]).all():
        raise UserError(
            f"the detail of a tile is not finite, summed as {levels[-1].dtype}: its map has values that are "
            "NaN, infinite or too large; scale it down"
        )
    return torch.cat([sums.flatten(1) for sums in reversed(levels)], dim=1)


def _type_of_sums(detail: Tensor) -> torch.dtype:
    if detail.dtype.is_floating_point:
        return detail.dtype if detail.dtype == torch.float64 else torch.float32
    largest = torch.iinfo(detail.dtype).max if detail.dtype != torch.bool else 1
    return torch.int32 if largest * detail[0].numel() < 2**31 else torch.int64


def _most(totals: Tensor, count: int, forest: Forest) -> Tensor:
    """Which nodes are the first `count` in the order of falling totals, `[N, num_inner]`; ties as above."""
    if count == 0:
        return torch.zeros_like(totals, dtype=torch.bool)
    least = totals.topk(count, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    above, equal = totals > least, totals == least
    room = count - above.sum(dim=1, keepdim=True)
    if bool((equal.sum(dim=1, keepdim=True) == room).all()):
        return above | equal
    order = torch.stack([_order(forest, end, totals.device) for end in _ends(totals, forest)])
    first = equal.gather(1, order)
    first &= first.cumsum(dim=1, dtype=torch.int32) <= room
    return above | first.gather(1, order)


def _ends(totals: Tensor, forest: Forest) -> list[tuple[bool, ...]]:
    """For each tree and axis whether nodes are counted from its end."""
    smallest = totals[:, forest.first_node(forest.depth - 1) :] > 0
    grid = smallest.view(-1, *(count << (forest.depth - 1) for count in forest.grid))
    axes = range(1, grid.ndim)
    counts = [grid.sum([other for other in axes if other != axis]).tolist() for axis in axes]
    return [tuple(along < along[::-1] for along in tree) for tree in zip(*counts, strict=True)]


@lru_cache(maxsize=8)
def _order(forest: Forest, ends: tuple[bool, ...], device: torch.device) -> Tensor:
    """Numbers of the nodes that can be split, counted from the ends, `[num_inner]`; its own inverse."""
    axes = [axis for axis, end in enumerate(ends) if end]
    levels = []
    for level in range(forest.depth):
        numbers = torch.arange(forest.first_node(level), forest.first_node(level + 1), device=device)
        levels.append(numbers.view(*(count << level for count in forest.grid)).flip(axes).flatten())
    return torch.cat(levels)


def _leaves_of(split: Tensor, forest: Forest) -> Leaves:
    """Leaves of trees in which the nodes `split` `[N, num_inner]` bool are split, in Z-order.

    As many as the largest of the trees has; those that a smaller one lacks are not valid.
    """
    parents, there = _row_numbers(split)
    levels, places = _locate(parents, forest)
    children = (2 * places[:, :, None] + _grid((2,) * forest.dims, split.device)).flatten(1, 2)
    roots = _grid(forest.grid, split.device).expand(len(split), -1, -1)
    level = F.pad((levels + 1).repeat_interleave(forest.branches, dim=1), (forest.num_roots, 0))
    place = torch.cat([roots, children], dim=1)
    there = F.pad(there.repeat_interleave(forest.branches, dim=1), (forest.num_roots, 0), value=True)
    leaf = there & ~_look_up(split, level, place, forest)
    cells = place << (forest.depth - level)[..., None]
    order = z_order(cells, forest).masked_fill_(~leaf, forest.num_cells).argsort(dim=1)
    order = order[:, : forest.num_roots + parents.shape[1] * (forest.branches - 1)]
    start = (cells * forest.min_leaf).gather(1, order[..., None].expand(-1, -1, forest.dims))
    return Leaves(forest, start, level.gather(1, order), leaf.gather(1, order))


def _row_numbers(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Column numbers of the True entries of each row, `[N, K]`, and which of the K there are."""
    counts = mask.sum(dim=1)
    columns = mask.nonzero()[:, 1]
    there = torch.arange(int(counts.amax()), device=mask.device) < counts[:, None]
    return torch.zeros_like(there, dtype=torch.int64).masked_scatter_(there, columns), there


def _locate(nodes: Tensor, forest: Forest) -> tuple[Tensor, Tensor]:
    """Level `[N, K]` of nodes given by number, and coordinates `[N, K, d]` on the grid of that level."""
    firsts = _first_nodes(forest, nodes.device)
    level = torch.bucketize(nodes, firsts[1:], right=True)
    rest = nodes - firsts[level]
    place = torch.empty(*nodes.shape, forest.dims, dtype=torch.int64, device=nodes.device)
    for axis in range(forest.dims - 1, -1, -1):
        side = forest.grid[axis] << level
        place[..., axis] = rest % side
        rest = rest // side
    return level, place


def _look_up(split: Tensor, level: Tensor, place: Tensor, forest: Forest) -> Tensor:
    """Whether nodes given by level `[N, K]` and coordinates `[N, K, d]` are split."""
    if not forest.depth:
        return torch.zeros_like(level, dtype=torch.bool)
    number = torch.zeros_like(level)
    for axis, count in enumerate(forest.grid):
        number = number * (count << level) + place[..., axis]
    inner = level < forest.depth
    number = (number + _first_nodes(forest, level.device)[level]) * inner
    return split.gather(1, number) & inner


@lru_cache(maxsize=64)
def _grid(sides: tuple[int, ...], device: torch.device) -> Tensor:
    """Coordinates of all points of a grid in row-major order, `[prod(sides), d]`."""
    return torch.cartesian_prod(*(torch.arange(side, device=device) for side in sides))


@lru_cache(maxsize=64)
def _first_nodes(forest: Forest, device: torch.device) -> Tensor:
    """Number of the first node of each level, smallest leaves included, `[depth + 1]`."""
    return torch.tensor([forest.first_node(level) for level in range(forest.depth + 1)], device=device)


def _fitted(leaves: Leaves, length: int) -> Leaves:
    """The same leaves, and more up to `length` that are not valid: start and level of all such are 0."""
    missing = length - leaves.length
    valid = leaves.valid if leaves.valid is not None else torch.ones_like(leaves.level, dtype=torch.bool)
    return replace(
        leaves,
        start=F.pad(leaves.start * valid[..., None], (0, 0, 0, missing)),
        level=F.pad(leaves.level * valid, (0, missing)),
        valid=F.pad(valid, (0, missing)),
    )

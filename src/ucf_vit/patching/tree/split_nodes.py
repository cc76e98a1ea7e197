"""Leaves of trees that are given by their split nodes.

Nodes are numbered level by level, in row-major order within a level; see `Forest.first_node`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.leaves import Leaves, sides_of_levels, z_order


def leaves_of_split_nodes(split: Tensor, forest: Forest) -> Leaves:
    """Returns the leaves, in Z-order, of trees whose nodes `split` `[N, num_inner]` bool are split.

    There are as many as in the largest of the trees; the surplus ones of smaller trees are invalid. Leaves
    are the roots and the children of split nodes that are not split themselves.
    """
    parents, exists = nonzero_columns(split)
    parent_level, parent_position = _locate(parents, forest)
    children = (2 * parent_position[:, :, None] + _grid((2,) * forest.dims, split.device)).flatten(1, 2)
    roots = _grid(forest.grid, split.device).expand(len(split), -1, -1)
    level = F.pad((parent_level + 1).repeat_interleave(forest.branches, dim=1), (forest.num_roots, 0))
    position = torch.cat([roots, children], dim=1)
    exists = F.pad(exists.repeat_interleave(forest.branches, dim=1), (forest.num_roots, 0), value=True)
    is_leaf = exists & ~_is_split(split, level, position, forest)
    cells = position << (forest.depth - level)[..., None]
    order = z_order(cells, forest).masked_fill_(~is_leaf, forest.num_cells).argsort(dim=1)
    order = order[:, : forest.num_roots + parents.shape[1] * (forest.branches - 1)]
    start = cells * sides_of_levels(forest, cells.device)[-1]
    start = start.gather(1, order[..., None].expand(-1, -1, forest.dims))
    return Leaves(forest, start, level.gather(1, order), is_leaf.gather(1, order))


def nonzero_columns(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the columns of the True entries of each row, `[N, K]`, and a mask of those that exist."""
    counts = mask.sum(dim=1)
    columns = mask.nonzero()[:, 1]
    exists = torch.arange(int(counts.amax()), device=mask.device) < counts[:, None]
    return torch.zeros_like(exists, dtype=torch.int64).masked_scatter_(exists, columns), exists


def _locate(nodes: Tensor, forest: Forest) -> tuple[Tensor, Tensor]:
    """Returns level `[N, K]` of nodes given by number, and coordinates `[N, K, d]` on that level's grid."""
    firsts = _first_nodes(forest, nodes.device)
    level = torch.bucketize(nodes, firsts[1:], right=True)
    remainder = nodes - firsts[level]
    position = torch.empty(*nodes.shape, forest.dims, dtype=torch.int64, device=nodes.device)
    for axis in range(forest.dims - 1, -1, -1):
        side = forest.grid[axis] << level
        position[..., axis] = remainder % side
        remainder = remainder // side
    return level, position


def _is_split(split: Tensor, level: Tensor, position: Tensor, forest: Forest) -> Tensor:
    """Returns whether nodes given by level `[N, K]` and coordinates `[N, K, d]` are split."""
    if not forest.depth:
        return torch.zeros_like(level, dtype=torch.bool)
    number = torch.zeros_like(level)
    for axis, count in enumerate(forest.grid):
        number = number * (count << level) + position[..., axis]
    inner = level < forest.depth
    number = (number + _first_nodes(forest, level.device)[level]) * inner
    return split.gather(1, number) & inner


@lru_cache(maxsize=64)
def _grid(sides: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the coordinates of all points of a grid in row-major order, `[prod(sides), d]`."""
    return torch.cartesian_prod(*(torch.arange(side, device=device) for side in sides))


@lru_cache(maxsize=64)
def _first_nodes(forest: Forest, device: torch.device) -> Tensor:
    """Returns the number of the first node of each level, including the smallest leaves, `[depth + 1]`."""
    return torch.tensor([forest.first_node(level) for level in range(forest.depth + 1)], device=device)

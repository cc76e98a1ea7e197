"""Parts that families have in common: names of modules, fused projections, positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from ucf_vit.weights.converted import Weights

Grid = tuple[int, ...]


def renamed(name: str, modules: Mapping[str, str]) -> str | None:
    """Returns `name` with the module at its beginning renamed; None if it begins with none of them."""
    for old, new in modules.items():
        if name.startswith(old + "."):
            return new + name[len(old) :]
    return None


def split_qkv(name: str, value: Tensor) -> Weights:
    """Splits a fused `...qkv.x`, with rows in the order q, k, v, into three; returns others unchanged."""
    if ".qkv." not in name:
        return {name: value}
    parts = zip("qkv", value.chunk(3), strict=True)
    return {name.replace(".qkv.", f".{part}."): rows for part, rows in parts}


def fuse_qkv(weights: Mapping[str, Tensor]) -> Weights:
    """Fuses q, k and v of all weights; the inverse of `split_qkv`."""
    fused: Weights = {}
    for name, value in weights.items():
        if ".attn.q." in name:
            parts = [weights[name.replace(".attn.q.", f".attn.{part}.")] for part in "qkv"]
            fused[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        elif ".attn.k." not in name and ".attn.v." not in name:
            fused[name] = value
    return fused


def channels_first(rows: Tensor, patch: Sequence[int]) -> Tensor:
    """Returns rows `[prod(P) * C, ...]`, in which the channels of a pixel are neighbours, as `[C * prod(P),
    ...]`.
    """
    return rows.unflatten(0, (prod(patch), -1)).transpose(0, 1).flatten(0, 1)


def split_positions(
    table: Tensor, prefix: int, dims: int, grid: Grid | None
) -> tuple[Tensor, Tensor, Grid | None]:
    """Splits positions `[k + L, D]` into those of k leading tokens and of L patches; returns also their grid.

    k is `prefix`, or 0 if leading tokens have no positions. The grid is `grid` if it has L patches, else
    that of equal sides; None if there is none.
    """
    counts = (prefix, 0) if prefix else (0,)
    for count in counts:
        if grid is not None and len(grid) == dims and prod(grid) == len(table) - count:
            return table[:count], table[count:], grid
    for count in counts:
        side = round((len(table) - count) ** (1 / dims))
        if side**dims == len(table) - count:
            return table[:count], table[count:], (side,) * dims
    return table[:prefix], table[prefix:], None

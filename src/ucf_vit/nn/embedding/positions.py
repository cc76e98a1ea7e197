"""Position tables: sines and cosines, and interpolation between grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError


def check_kind(kind: str) -> None:
    """Raises UserError if `kind` is neither "learned" nor "sincos"."""
    if kind not in ("learned", "sincos"):
        hint = did_you_mean(kind, ["learned", "sincos"])
        raise UserError(f"pos_embed {kind!r} is unknown{hint}; use 'learned' or 'sincos'")


def sincos(grid: Sequence[int], dim: int) -> Tensor:
    """Returns the sine–cosine table `[N, dim]` of a 1D, 2D or 3D grid in row-major order, float64."""
    places = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in grid))
    return sincos_at(places.reshape(-1, len(grid)), dim)


def sincos_at(places: Tensor, dim: int) -> Tensor:
    """Returns sines and cosines `[..., dim]` of places `[..., d]` in 1D, 2D or 3D, in the type of `places`.

    The `dim // 2` sine–cosine pairs are divided among the axes, in the order w, h in 2D (as published with
    MAE, He et al. 2022) and h, w, d in 3D; if they do not divide evenly, the first axes get one pair more.
    The columns of an axis with n pairs are [sin(x ω) | cos(x ω)], ω_k = 10000^(-k/n). An odd `dim` ends
    with a column of zeros.
    """
    dims = places.shape[-1]
    axes = list(range(dims))
    if dims == 2:
        axes.reverse()
    pairs, extra = divmod(dim // 2, dims)
    counts = [pairs + (i < extra) for i in range(dims)]
    columns = []
    for axis, count in zip(axes, counts, strict=True):
        omega = 1e4 ** (-torch.arange(count, dtype=places.dtype, device=places.device) / count)
        angles = places[..., axis, None] * omega
        columns += [angles.sin(), angles.cos()]
    return F.pad(torch.cat(columns, dim=-1), (0, dim % 2))


def interpolate(table: Tensor, old: Sequence[int], new: Sequence[int]) -> Tensor:
    """Resamples a position table `[N_old, D]` of the grid `old` to `[N_new, D]` of the grid `new`.

    Cubic along each axis in turn, with antialiasing where the grid gets coarser: in 2D the same as torch's
    bicubic interpolation with `antialias`, and the same rule in 3D.
    """
    field = table.reshape(*old, -1).double()
    for axis, (before, after) in enumerate(zip(old, new, strict=True)):
        field = torch.tensordot(field, _resampling(before, after).to(field), dims=([axis], [0])).movedim(
            -1, axis
        )
    return field.reshape(math.prod(new), -1).to(table.dtype)


def _resampling(before: int, after: int) -> Tensor:
    """Returns the weights `[before, after]` of cubic resampling along one axis."""
    identity = torch.eye(before, dtype=torch.float64)[None, None]
    return F.interpolate(identity, size=(before, after), mode="bicubic", antialias=True)[0, 0]

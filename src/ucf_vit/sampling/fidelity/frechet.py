"""Fréchet distance between two sets of features."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Returns the squared Fréchet distance of normal distributions fitted to features `[N, F]` and `[M, F]`.

    It is `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))` of means and covariances (Heusel et al. 2017).
    With `Ci = Ai' Ai`, the trace of the root is the sum of the singular values of `A1 A2'`. This is exact for
    singular covariances too, so nothing needs to be added to their diagonals.

    Raises ValueError with fewer than two rows.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a covariance needs two samples, got {len(first)} and {len(second)}")
    a, b = _factor(first), _factor(second)
    shift = (first.double().mean(0) - second.double().mean(0)).square().sum()
    spread = a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()
    return float((shift + spread).clamp(min=0))


def _factor(features: Tensor) -> Tensor:
    """Returns a triangular A such that `A' A` is the covariance."""
    centred = features.double() - features.double().mean(0)
    return torch.linalg.qr(centred / (len(features) - 1) ** 0.5, mode="r").R

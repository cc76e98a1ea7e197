"""Sums of values over samples, in which broken outputs of a network count as such."""

from __future__ import annotations

import torch
from torch import Tensor


def sum_and_count(values: Tensor, counts: Tensor | None = None) -> Tensor:
    """Returns `[sum, count]` in float64 of values `[B]`, or only of those where `counts` `[B]` is True.

    A NaN makes the sum NaN: a network with broken outputs must not get a better mean by them.
    """
    counted = values.detach() if counts is None else values.detach()[counts]
    counted = counted.cpu().double()
    return torch.stack([counted.sum(), counted.new_tensor(float(counted.numel()))])


def nan_if_not_finite(values: Tensor, logits: Tensor) -> Tensor:
    """Returns `values` `[B, ...]`, with NaN for samples whose `logits` `[B, K, *S]` are not all finite.

    The argmax of NaN is 0, so a broken network would otherwise count as one that predicts class 0.
    """
    return values.masked_fill(_not_finite(logits, values), torch.nan)


def zero_if_not_finite(values: Tensor, logits: Tensor) -> Tensor:
    """Returns `values` `[B, ...]`, with 0 for samples whose `logits` `[B, K, *S]` are not all finite."""
    return values.masked_fill(_not_finite(logits, values), 0)


def _not_finite(logits: Tensor, values: Tensor) -> Tensor:
    """Returns which samples have logits that are not all finite, in a shape that fits to `values`."""
    axes = tuple(range(1, logits.ndim))
    finite = logits.amin(axes).isfinite() & logits.amax(axes).isfinite()
    return ~finite.view(-1, *[1] * (values.ndim - 1)).to(values.device)

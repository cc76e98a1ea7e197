"""Projection of patches for other channels, and for volumes in place of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ucf_vit.core.per_axis import product_of
from ucf_vit.options import PretrainedOptions


def fit_projection(
    weight: Tensor,
    patch: Sequence[int],
    new_patch: Sequence[int],
    names: Sequence[str | None],
    options: PretrainedOptions,
) -> tuple[Tensor | None, str]:
    """Returns `weight` `[D, C * prod(P)]` for patches `new_patch` of channels `names`, and what was changed.

    A name may be None: not known. Patches of images are inflated to those of volumes along the last axis; any
    others that differ give None, and the reason.
    """
    changes = []
    kernel = weight.unflatten(1, (-1, *patch))
    if tuple(new_patch[:-1]) == tuple(patch):
        kernel = inflate(kernel, new_patch[-1], options)
        changes.append(f"inflated along the last axis, {new_patch[-1]} deep ({options.pretrained_inflation})")
    elif tuple(new_patch) != tuple(patch):
        return None, f"patches of {product_of(patch)} pixels, the target's have {product_of(new_patch)}"
    if kernel.shape[1] != len(names) or options.pretrained_channels:
        rows, how = _rows_of_channels(kernel.shape[1], names, options)
        changes += [how] if how else []
        kernel = torch.einsum("nc,dc...->dn...", rows.to(kernel), kernel)
    return kernel.flatten(1), "; ".join(changes)


def inflate(kernel: Tensor, depth: int, options: PretrainedOptions) -> Tensor:
    """Returns a kernel `[D, C, *P, depth]` of `[D, C, *P]`: as `options.pretrained_inflation` says.

    Patches that do not vary along the new axis keep their tokens with "mean" (Carreira and Zisserman 2017).
    """
    if options.pretrained_inflation == "mean":
        return (kernel / depth)[..., None].repeat_interleave(depth, -1)
    inflated = kernel.new_zeros((*kernel.shape, depth))
    inflated[..., depth // 2] = kernel
    return inflated


def _rows_of_channels(
    before: int, names: Sequence[str | None], options: PretrainedOptions
) -> tuple[Tensor, str]:
    """Returns the shares `[N, C]` that each new channel takes of the `before` old ones, and how in words.

    That of a channel's own name is 1; all others are those of the rule. As many channels of other names stay
    in their order.
    """
    known, rule = list(options.pretrained_channels), options.pretrained_channel_rule
    rows = torch.zeros(len(names), before)
    matched = [name for name in names if name in known]
    for number, name in enumerate(names):
        if name in known:
            rows[number, known.index(str(name))] = 1
        elif rule == "mean":
            rows[number] = 1 / len(names)
        else:
            rows[number, number % before] = before / len(names)
    if not matched and before == len(names):
        return torch.eye(before), ""
    if not matched:
        return rows, f"{before} channels to {len(names)} ({rule})"
    if len(matched) == len(names) and matched == known:
        return rows, ""
    others = f"; {len(names) - len(matched)} others by {rule}" if len(matched) < len(names) else ""
    return rows, f"channels by name: {', '.join(map(str, matched))}{others}"

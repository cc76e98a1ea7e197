"""Norm of gradients that are split over ranks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_norm_, get_total_norm

from ucf_vit.parallel.ranks.world import World


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float, world: World) -> float:
    """Scales all gradients so that their global norm is at most `largest`; returns the norm before.

    Gradients may be on different meshes: the squared norms of local parts are summed in one collective, each
    divided by the number of ranks that hold the same part.
    """
    with_grad = [parameter for parameter in parameters if parameter.grad is not None]
    if world.mesh is None:
        return float(clip_grad_norm_(with_grad, largest, foreach=True))
    parts: dict[int, list[Tensor]] = defaultdict(list)
    for parameter in with_grad:
        grad = parameter.grad
        assert grad is not None
        local = grad.to_local() if isinstance(grad, DTensor) else grad
        parts[_num_copies(grad, world)].append(local)
    squares = [get_total_norm(part, foreach=True).double() ** 2 / copies for copies, part in parts.items()]
    norm = float(world.sum(torch.stack(squares).sum()).sqrt())
    if largest < norm < math.inf:
        for part in parts.values():
            torch._foreach_mul_(part, largest / (norm + 1e-6))
    return norm


def _num_copies(grad: Tensor, world: World) -> int:
    """Returns the number of ranks that hold the same part of `grad`."""
    pieces = 1
    if isinstance(grad, DTensor):
        for number, placement in enumerate(grad.placements):
            if placement.is_partial():
                raise RuntimeError("a gradient was left without its sum over ranks")
            if getattr(placement, "dim", None) is not None:
                pieces *= grad.device_mesh.size(number)
    return world.size // pieces

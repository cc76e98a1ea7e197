"""Mode `simple`: the whole task on every process, gradients averaged (DistributedDataParallel)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ucf_vit.parallel.ranks.world import World


def distribute(task: nn.Module, world: World) -> nn.Module:
    """What to call in place of `task` in a training step; the task itself in a world of one."""
    if world.size == 1:
        return task
    device_ids = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(task, device_ids=device_ids, gradient_as_bucket_view=True)


def accumulating(module: nn.Module) -> AbstractContextManager[None]:
    """A context in which backward passes add up gradients without exchanging them."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

"""Mode `simple`: the whole task on every process, with averaged gradients (DistributedDataParallel)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ucf_vit.parallel.ranks.world import World


def wrap_in_ddp(task: nn.Module, world: World) -> nn.Module:
    """Returns the module to call instead of `task` in a training step; `task` itself on one process."""
    if world.size == 1:
        return task
    device_ids = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(task, device_ids=device_ids, gradient_as_bucket_view=True)


def no_gradient_sync(module: nn.Module) -> AbstractContextManager[None]:
    """Returns a context in which backward passes accumulate gradients without exchanging them."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

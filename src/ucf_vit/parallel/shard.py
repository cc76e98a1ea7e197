"""Sharded data parallelism: weights, gradients and moments sharded over ranks that see different data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)

from ucf_vit.nn.block import Block


@dataclass(frozen=True)
class Sharding:
    """Options of sharding.

    `reshard_after_forward` frees the gathered weights of a block until its backward pass gathers them again.
    `dtype` is the type in which the weights of blocks are gathered, for autocast on an accelerator (on a CPU
    norms do not support reduced weights); `reduce_dtype` is the type in which gradients are summed. The
    shards themselves, which the optimizer updates, stay float32, and so does everything outside blocks:
    embeddings, final norms, decoders, heads.
    `cpu_offload` keeps shards, gradients and moments in host memory.
    """

    reshard_after_forward: bool = True
    dtype: torch.dtype | None = None
    reduce_dtype: torch.dtype = torch.float32
    cpu_offload: bool = False


def shard_network(network: nn.Module, mesh: DeviceMesh, settings: Sharding) -> None:
    """Shards every Block as a unit of its own, then the remainder of `network`, in place.

    FSDP2 (Zhao et al. 2023). `mesh` has the axis shard, or ddp and shard: then shards are replicated along
    ddp (hybrid sharding).
    """
    # The warning is about views that are changed in place; no task changes the output of a network in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning)
    offload = CPUOffloadPolicy(pin_memory=mesh.device_type != "cpu") if settings.cpu_offload else None
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for module in (*blocks, network):
        module.reshards = settings.reshard_after_forward and module is not network
        fully_shard(
            module,
            mesh=mesh,
            reshard_after_forward=module.reshards,
            mp_policy=MixedPrecisionPolicy(
                param_dtype=None if module is network else settings.dtype,
                reduce_dtype=settings.reduce_dtype,
                cast_forward_inputs=False,
            ),
            offload_policy=offload or OffloadPolicy(),
        )
    for block, following in pairwise(blocks):
        block.set_modules_to_forward_prefetch([following])
        following.set_modules_to_backward_prefetch([block])


@contextmanager
def gathered_weights(task: nn.Module) -> Iterator[None]:
    """Context in which weights stay gathered: data ranks may make different numbers of forward passes.

    Collective at start and end. Within it every rank holds all weights that it computes with.
    """
    sharded = [module for module in task.modules() if isinstance(module, FSDPModule)]
    for module in sharded:
        module.unshard()
        module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for module in sharded:
            module.set_reshard_after_forward(module.reshards, recurse=False)
            module.reshard()

"""Sharded data parallelism: weights, gradients and moments spread over ranks that see different data."""

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
    """How weights are kept and moved.

    `reshard_after_forward` frees a block's gathered weights until its backward pass gathers them again.
    `dtype` is the type in which a block's weights are gathered, for autocast on an accelerator (on a
    CPU norms take no reduced weights); `reduce_dtype` is that in which gradients are summed. What is sharded,
    the optimizer's copy, stays as it is (float32), and so does all that lies outside blocks: embeddings,
    final norms, decoders, heads.
    `cpu_offload` keeps shards, gradients and moments in host memory.
    """

    reshard_after_forward: bool = True
    dtype: torch.dtype | None = None
    reduce_dtype: torch.dtype = torch.float32
    cpu_offload: bool = False


def shard_network(network: nn.Module, mesh: DeviceMesh, settings: Sharding) -> None:
    """Shard every Block by itself, then the rest of `network`, in place (FSDP2, Zhao et al. 2023).

    `mesh` has the axis fsdp, or ddp and fsdp: then shards are replicated along ddp (hybrid sharding).
    """
    # It means views that are changed in place afterwards, which no task does with what a network returns.
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
    """Within, forward passes exchange no weights, so that data ranks may make different numbers of them.

    Collective at start and end. Every rank then holds all weights that it computes with.
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

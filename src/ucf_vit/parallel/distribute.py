"""Distribution of a task over the processes of a run, by all methods in the right order."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import nn

from ucf_vit.parallel import simple
from ucf_vit.parallel.encoder.rules import split_encoders
from ucf_vit.parallel.encoder.shared_variables import split_variables
from ucf_vit.parallel.initial_weights import materialise
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.recompute_and_compile import Recompute, compile_blocks, recompute
from ucf_vit.parallel.shard import Sharding, shard_network


@dataclass(frozen=True)
class DistributeOptions:
    """Options of `distribute`; `seed` initialises the weights of networks on device `meta`."""

    sharding: Sharding = field(default_factory=Sharding)
    recompute: Recompute = "none"
    compile: bool = False
    seed: int = 0


def distribute(task: nn.Module, world: World, settings: DistributeOptions) -> nn.Module:
    """Returns the module to call instead of `task` in a training step; changes and moves `task` in place.

    In a world without a mesh every process holds the whole task (mode `simple`). Otherwise each network of
    the task is split over tensor ranks, set to recompute and compile, sharded, and filled with initial
    weights, in this order. A network that has weights already gets those of rank 0 on all ranks. Each network
    is a unit of its own, which can be called without the others.
    """
    if world.mesh is None:
        for network in find_networks(task):
            if is_on_meta(network):
                materialise(network, settings.seed, world.device)
        task.to(world.device)
        _prepare_blocks(task, settings)
        return simple.wrap_in_ddp(task, world)
    mesh = world.mesh
    for network in find_networks(task):
        on_meta = is_on_meta(network)
        if not on_meta:
            network.to(world.device)
            _broadcast_from_rank_0(network)
        if mesh["tensor"].size() > 1:
            split_variables(network, mesh.get_group("tensor"))
        if mesh["tensor"].size() > 1 or world.tokens is not None:
            split_encoders(network, mesh["tensor"], world.tokens)
        _prepare_blocks(network, settings)
        axes = mesh["ddp", "shard"] if mesh["ddp"].size() > 1 else mesh["shard"]
        shard_network(network, axes, settings.sharding)
        if on_meta:
            offload = settings.sharding.cpu_offload
            materialise(network, settings.seed, torch.device("cpu") if offload else world.device)
            for module in network.modules() if offload else ():
                for name, buffer in module.named_buffers(recurse=False):
                    setattr(module, name, buffer.to(world.device))
    return task


def find_networks(task: nn.Module) -> list[nn.Module]:
    """Returns the submodules of a task that have parameters."""
    return [child for child in task.children() if any(True for _ in child.parameters())]


def is_on_meta(network: nn.Module) -> bool:
    """Returns whether a network was built without memory for its weights."""
    return any(parameter.is_meta for parameter in network.parameters())


def _prepare_blocks(model: nn.Module, settings: DistributeOptions) -> None:
    recompute(model, settings.recompute)
    if settings.compile:
        compile_blocks(model)


def _broadcast_from_rank_0(network: nn.Module) -> None:
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            dist.broadcast(tensor, src=0)

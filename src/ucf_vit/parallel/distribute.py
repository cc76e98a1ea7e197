"""Spreads a task over the processes of a run: the one place where the ways to do so come together."""

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
    """How to distribute; `seed` is that of the weights of networks that are still on `meta`."""

    sharding: Sharding = field(default_factory=Sharding)
    recompute: Recompute = "none"
    compile: bool = False
    seed: int = 0


def distribute(task: nn.Module, world: World, settings: DistributeOptions) -> nn.Module:
    """What to call in place of `task` in a training step; `task` itself changes, and moves to its device.

    In a world without a mesh every process holds all of it (mode `simple`). Otherwise, in this order: split
    over tensor ranks, recompute, compile, shard, fill with initial weights. A network that has its weights
    gets those of rank 0 everywhere; each network of the task is a unit of its own, which can be called alone.
    """
    if world.mesh is None:
        for network in networks(task):
            if is_on_meta(network):
                materialise(network, settings.seed, world.device)
        task.to(world.device)
        _prepare_blocks(task, settings)
        return simple.distribute(task, world)
    mesh = world.mesh
    for network in networks(task):
        on_meta = is_on_meta(network)
        if not on_meta:
            network.to(world.device)
            _as_on_rank_0(network)
        if mesh["tensor"].size() > 1:
            split_variables(network, mesh.get_group("tensor"))
        if mesh["tensor"].size() > 1 or world.tokens is not None:
            split_encoders(network, mesh["tensor"], world.tokens)
        _prepare_blocks(network, settings)
        axes = mesh["ddp", "shard"] if mesh["ddp"].size() > 1 else mesh["shard"]
        shard_network(network, axes, settings.sharding)
        if on_meta:
            host = settings.sharding.cpu_offload
            materialise(network, settings.seed, torch.device("cpu") if host else world.device)
            for module in network.modules() if host else ():
                for name, buffer in module.named_buffers(recurse=False):
                    setattr(module, name, buffer.to(world.device))
    return task


def networks(task: nn.Module) -> list[nn.Module]:
    """The parts of a task that have parameters."""
    return [child for child in task.children() if any(True for _ in child.parameters())]


def is_on_meta(network: nn.Module) -> bool:
    """Whether a network was built without memory for its weights."""
    return any(parameter.is_meta for parameter in network.parameters())


def _prepare_blocks(model: nn.Module, settings: DistributeOptions) -> None:
    recompute(model, settings.recompute)
    if settings.compile:
        compile_blocks(model)


def _as_on_rank_0(network: nn.Module) -> None:
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            dist.broadcast(tensor, src=0)

"""Check that the weights of a network fit into memory, before the network is built."""

from __future__ import annotations

import torch
from rich.filesize import decimal

from ucf_vit.config import Run, parameters
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import UserError
from ucf_vit.core.memory import memory_here
from ucf_vit.training.launch.rank import Place

WEIGHT_BYTES = 4


def check_memory(run: Run, place: Place, device: torch.device) -> None:
    """Raises UserError if the weights are certainly larger than the memory for them.

    In mode simple each process of this machine holds all of them in host memory; in mode fsdp each rank holds
    a shard on its device.
    """
    weights = WEIGHT_BYTES * parameters(run)
    if run.parallelism.mode == "simple":
        need, have, where = weights * place.local_size, memory_here(), "this machine"
    else:
        sizes = check_ranks(run, place.size)
        shards_in_memory = 1 if device.type == "cuda" else place.local_size
        shards = sizes["fsdp_size"] * sizes["seq_par_size"] * sizes["tensor_par_size"]
        need, (have, where) = weights // shards * shards_in_memory, _memory_of(device)
    if have is not None and need > have:
        split = "" if place.local_size == 1 else f" in {place.local_size} processes"
        net = run.model
        raise UserError(
            f"{run.where('model.embed_dim')}: the weights take {decimal(need)} or more{split}, {where} has "
            f"{decimal(have)}; lower model.embed_dim = {net.embed_dim} or model.depth = {net.depth}, or "
            "spread them over more ranks: parallelism.mode=fsdp parallelism.fsdp_size=N"
        )


def _memory_of(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory, "the device"
    return memory_here(), "this machine"

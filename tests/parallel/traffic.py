"""Counts what ranks exchange."""

from __future__ import annotations

from collections import Counter
from typing import Any

import parity
import torch
from parity import Case
from rank_group import world_of
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.encoder.token_group import Exchange
from ucf_vit.parallel.ranks.mesh import MeshLayout

KINDS = {
    "all_gather_into_tensor": "all-gather",
    "_allgather_base_": "all-gather",
    "reduce_scatter_tensor": "reduce-scatter",
    "_reduce_scatter_base_": "reduce-scatter",
    "all_reduce": "all-reduce",
    "allreduce_": "all-reduce",
    "allgather_": "all-gather of tokens",
    "alltoall_base_": "all-to-all",
    "send": "send",
}


SILENT = {"wait_tensor", "_wrap_tensor_autograd", "recv_"}
"""Operations that move no data, or are the other end of counted ones."""


class Traffic(TorchDispatchMode):
    """Collectives and the bytes of their whole tensors, gathered or before they are summed."""

    def __init__(self) -> None:
        super().__init__()
        self.number: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # it becomes plain tensors and collectives first
        out = func(*args, **(kwargs or {}))
        space, _, name = func._schema.name.partition("::")
        if space in ("_c10d_functional", "c10d") and name not in SILENT:
            sizes = [t.nbytes for t in tree_leaves((args, out)) if isinstance(t, torch.Tensor)]
            parts = [t.nbytes for t in tree_leaves(args[0])] if name == "allgather_" else []
            self.number[KINDS[name]] += 1
            self.bytes[KINDS[name]] += max(*sizes, sum(parts))
        return out


def of_one_step(
    case: Case, layout: MeshLayout, settings: DistributeOptions, attention: Exchange = "auto"
) -> tuple[Counter[str], Counter[str]]:
    """Number and bytes of collectives of one forward and backward pass, the second one."""
    world = world_of(layout, attention)
    task = parity.build(case)
    replica = distribute(task, world, settings)
    batch = task.draw(parity.share(parity.batch_of(case, task, 0), world.data_rank, world.data_size))
    replica(batch).value.backward()
    with Traffic() as traffic:
        replica(batch).value.backward()
    return traffic.number, traffic.bytes

"""Tokens split over tensor ranks, and the ranks that split them.

Between blocks the tokens of a sample are one DTensor `[B, L, D]` with placement `Shard(1)`, which knows L
whatever each rank holds. Attention and Mlp see all tokens as plain tensors and compute their shard of the
heads or hidden units. A module without a rule for tensor ranks meets a DTensor and fails with an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from ucf_vit.parallel.encoder.token_group import TokenGroup


@dataclass
class Region:
    """Ranks that split the tokens of a sample within an Encoder.

    `mesh` is the axis of tensor ranks. With `tokens`, that group splits the tokens first. `total` is the
    number of tokens of a sample in the current forward pass.
    """

    mesh: DeviceMesh
    tokens: TokenGroup | None = None
    total: int = 0

    @property
    def coordinates(self) -> tuple[int, int]:
        """Position of this rank among those that work on the same samples: token rank, tensor rank."""
        return (0 if self.tokens is None else self.tokens.rank, self.mesh.get_local_rank())


def split_tokens(x: Tensor, mesh: DeviceMesh) -> DTensor:
    """Returns tokens `[B, L, D]`, which all tensor ranks hold, as a DTensor split over the ranks."""
    replicated = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
    return replicated.redistribute(placements=[Shard(1)])


def join_tokens(x: DTensor) -> Tensor:
    """Returns all tokens on every rank, for computations that are the same on all of them."""
    return x.redistribute(placements=[Replicate()]).to_local(grad_placements=[Replicate()])


def gather_tokens(x: DTensor) -> Tensor:
    """Returns all tokens on every rank, each of which computes a different part of the result.

    Unlike in `join_tokens`, the gradients of the ranks are summed.
    """
    return x.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])

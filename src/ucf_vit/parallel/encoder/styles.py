"""What the parts of an encoder become when tensor ranks share its work.

Between blocks the tokens are split over tensor ranks: one DTensor `[B, L, D]`, `Shard(1)`, which knows L
whatever each rank holds. Attention and Mlp see all tokens as plain tensors and compute their share of the
heads or hidden units. So what is not written for tensor ranks meets a DTensor and fails, not silently.

A twin has the parameters, names and `forward` of the class it takes the place of, which it extends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from ucf_vit.core.seeds import seed_of, seed_torch
from ucf_vit.nn.attention import Attention
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.nn.encoder import Encoder, valid_of_all
from ucf_vit.nn.mlp import Mlp
from ucf_vit.nn.modulation import Modulation
from ucf_vit.parallel.encoder.sequence import TokenGroup, heads_for_tokens, ring_attention, tokens_for_heads


def split_tokens(x: Tensor, mesh: DeviceMesh) -> DTensor:
    """Tokens `[B, L, D]` that all tensor ranks have, split over them."""
    same = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
    return same.redistribute(placements=[Shard(1)])


def join_tokens(x: DTensor) -> Tensor:
    """Inverse of `split_tokens`: every rank goes on with all tokens, and all do the same."""
    return x.redistribute(placements=[Replicate()]).to_local(grad_placements=[Replicate()])


def all_tokens(x: DTensor) -> Tensor:
    """All tokens on every rank, of which each makes another part of the result."""
    return x.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])


class ColumnLinear(nn.Linear):
    """A share of the outputs, from all inputs; plain tensors."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D_in]` to `[..., D_out / T]`."""
        return F.linear(x, _own(self.weight), None if self.bias is None else _own(self.bias))


class RowLinear(nn.Linear):
    """All outputs, from a share of the inputs: summed over ranks, split over tokens, then the bias, once."""

    def forward(self, x: Tensor) -> Tensor:
        """Plain `[B, L, D_in / T]` to tokens `[B, L, D_out]` split over ranks."""
        weight = cast(DTensor, self.weight)
        part = F.linear(x, weight.to_local())
        tokens = DTensor.from_local(part, weight.device_mesh, [Partial()], run_check=False)
        tokens = tokens.redistribute(placements=[Shard(1)])
        return tokens if self.bias is None else tokens + self.bias.to(tokens.dtype)


@dataclass
class Region:
    """Where tokens are split: over tensor ranks, `mesh`, and, where there is `tokens`, first over its ranks.

    `total` is the number of tokens of a sample in the pass that is under way.
    """

    mesh: DeviceMesh
    tokens: TokenGroup | None = None
    total: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """Which of the ranks this one is that work on the same samples."""
        return (0 if self.tokens is None else self.tokens.rank, self.mesh.get_local_rank())


class SplitAttention(Attention):
    """Attention of a share of the heads, to the tokens of all ranks."""

    region: Region

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Split tokens to split tokens; `valid` is whole."""
        return super().forward(all_tokens(cast(DTensor, x)), first, valid)

    def core(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        """As for all heads; dropout draws for these alone."""
        if not (self.training and self.dropout):
            return self._exchange(q, k, v, valid)
        with own_randomness(self.region, q.device):
            return self._exchange(q, k, v, valid)

    def _exchange(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        tokens, total, heads = self.region.tokens, self.region.total, q.shape[1]
        if tokens is None:
            return super().core(q, k, v, valid)
        if tokens.uses_ring(heads):
            return ring_attention(q, k, v, valid, tokens, total)
        q, k, v = (heads_for_tokens(x, tokens, total) for x in (q, k, v))
        return tokens_for_heads(super().core(q, k, v, valid), tokens, heads)


class SplitMlp(Mlp):
    """An Mlp of which each rank has a share of the hidden units."""

    def forward(self, x: Tensor) -> Tensor:
        """Split tokens to split tokens."""
        return super().forward(all_tokens(cast(DTensor, x)))


class SplitEncoder(Encoder):
    """The region in which tokens are split: whole ones come in and go out."""

    region: Region

    def forward(
        self,
        x: Tensor,
        taps: Sequence[int] = (),
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """As of one rank; where tokens are split over more than tensor ranks, `first` saves nothing.

        `condition` is whole.
        """
        mesh, tokens = self.region.mesh, self.region.tokens
        self.region.total = total = x.shape[1]
        asked = first if tokens is None else None
        if tokens is not None:
            x = tokens.split(x)
            condition = None if condition is None else tokens.enter(condition)
        end, inner = self.mix(split_tokens(x, mesh), taps, asked, valid_of_all(valid, total), condition)
        whole = [join_tokens(cast(DTensor, part)) for part in (end, *inner)]
        if tokens is not None:
            whole = [tokens.join(part, total) for part in whole]
        return whole[0][:, :first], whole[1:]


class SplitModulation(Modulation):
    """Steers split tokens: every rank has all of the condition, the vectors and their whole gradient."""

    region: Region

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Plain `[B, D_c]` to vectors `[B, 1, D]` that meet tokens of any rank."""
        vectors = F.linear(F.silu(condition), _own(self.weight), _own(self.bias))[:, None]
        return tuple(
            DTensor.from_local(vector.contiguous(), self.region.mesh, [Replicate()], run_check=False)
            for vector in vectors.chunk(self.count, dim=-1)
        )


class SplitDropPath(DropPath):
    """Stochastic depth: all tensor ranks leave out the same samples."""

    region: Region

    def forward(self, x: Tensor) -> Tensor:
        """Split tokens to split tokens; the ranks' generators agree."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty(len(x), 1, 1, dtype=x.dtype, device=x.device).bernoulli_(1 - self.rate)
        return (
            x * DTensor.from_local(kept, self.region.mesh, [Replicate()], run_check=False) / (1 - self.rate)
        )


class SplitDropout(nn.Dropout):
    """Dropout of what each rank has of hidden units or tokens, with randomness of its own."""

    region: Region

    def forward(self, x: Tensor) -> Tensor:
        """Plain tensors, or split tokens."""
        if not self.training or self.p == 0:
            return x
        if not isinstance(x, DTensor):
            with own_randomness(self.region, x.device):
                return super().forward(x)
        if x.placements[0].is_replicate():
            part = super().forward(x.to_local())
        else:
            with own_randomness(self.region, x.device):
                part = self._drop(x.to_local())
        return DTensor.from_local(
            part, x.device_mesh, x.placements, run_check=False, shape=x.shape, stride=x.stride()
        )

    def _drop(self, part: Tensor) -> Tensor:
        """Dropout that keeps a tensor for its backward pass also where this rank has no token.

        Recomputation ends once it has made all that was kept: ranks that keep less would end it before an
        exchange that others still make.
        """
        return super().forward(part) if part.numel() else part * torch.ones_like(part)


@contextmanager
def own_randomness(region: Region, device: torch.device) -> Iterator[None]:
    """Global generators that differ between ranks with the same samples, which before and after agree."""
    seed = seed_of(int(torch.randint(2**62, ())), *region.place)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_torch(device, seed)
        yield


def _own(parameter: Tensor) -> Tensor:
    return cast(DTensor, parameter).to_local()

"""Layers of an Encoder whose work is split over tensor ranks.

Each class has the parameters, names and `forward` signature of the class it extends and replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from ucf_vit.nn.attention import Attention
from ucf_vit.nn.encoder import Encoder, valid_of_all
from ucf_vit.nn.mlp import Mlp
from ucf_vit.nn.modulation import Modulation
from ucf_vit.parallel.encoder.region import Region, gather_tokens, join_tokens, split_tokens
from ucf_vit.parallel.encoder.ring import ring_attention
from ucf_vit.parallel.encoder.split_dropout import rank_randomness
from ucf_vit.parallel.encoder.ulysses import heads_to_tokens, tokens_to_heads


class ColumnLinear(nn.Linear):
    """Linear layer split over its outputs; takes and returns plain tensors."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[..., D_in]` to this rank's outputs `[..., D_out / T]`."""
        return F.linear(x, _local(self.weight), None if self.bias is None else _local(self.bias))


class RowLinear(nn.Linear):
    """Linear layer split over its inputs; returns tokens split over ranks."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps this rank's inputs `[B, L, D_in / T]`, a plain tensor, to split tokens `[B, L, D_out]`."""
        weight = cast(DTensor, self.weight)
        partial = F.linear(x, weight.to_local())
        tokens = DTensor.from_local(partial, weight.device_mesh, [Partial()], run_check=False)
        tokens = tokens.redistribute(placements=[Shard(1)])
        # The bias is added after the sum over ranks; before it, it would be added once per rank.
        return tokens if self.bias is None else tokens + self.bias.to(tokens.dtype)


class SplitAttention(Attention):
    """Attention split over heads, to the tokens of all ranks."""

    region: Region

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Maps split tokens to split tokens; `valid` `[B, L]` covers all tokens."""
        return super().forward(gather_tokens(cast(DTensor, x)), first, valid)

    def core(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        """Attends with this rank's heads; dropout draws different numbers on each rank."""
        if not (self.training and self.dropout):
            return self._attend(q, k, v, valid)
        with rank_randomness(self.region, q.device):
            return self._attend(q, k, v, valid)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        tokens, total, heads = self.region.tokens, self.region.total, q.shape[1]
        if tokens is None:
            return super().core(q, k, v, valid)
        if tokens.uses_ring(heads):
            return ring_attention(q, k, v, valid, tokens, total)
        q, k, v = (tokens_to_heads(x, tokens, total) for x in (q, k, v))
        return heads_to_tokens(super().core(q, k, v, valid), tokens, heads)


class SplitMlp(Mlp):
    """Mlp split over its hidden units."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps split tokens to split tokens."""
        return super().forward(gather_tokens(cast(DTensor, x)))


class SplitEncoder(Encoder):
    """Encoder that takes and returns whole tokens and splits them over ranks in between."""

    region: Region

    def forward(
        self,
        x: Tensor,
        taps: Sequence[int] = (),
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the same as `Encoder.forward`; every rank holds all of `condition`.

        Where a token group splits the tokens, the last block computes all of them whatever `first` is.
        """
        mesh, tokens = self.region.mesh, self.region.tokens
        self.region.total = total = x.shape[1]
        first_in_blocks = first if tokens is None else None
        if tokens is not None:
            x = tokens.split(x)
            condition = None if condition is None else tokens.replicate(condition)
        last, tapped = self.mix(
            split_tokens(x, mesh), taps, first_in_blocks, valid_of_all(valid, total), condition
        )
        outputs = [join_tokens(cast(DTensor, output)) for output in (last, *tapped)]
        if tokens is not None:
            outputs = [tokens.join(output, total) for output in outputs]
        return outputs[0][:, :first], outputs[1:]


class SplitModulation(Modulation):
    """Modulation of split tokens: every rank holds the condition, and gets its whole gradient."""

    region: Region

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Maps a plain `[B, D_c]` to vectors `[B, 1, D]` that combine with the tokens of any rank."""
        vectors = F.linear(F.silu(condition), _local(self.weight), _local(self.bias))[:, None]
        return tuple(
            DTensor.from_local(vector.contiguous(), self.region.mesh, [Replicate()], run_check=False)
            for vector in vectors.chunk(self.count, dim=-1)
        )


def _local(parameter: Tensor) -> Tensor:
    return cast(DTensor, parameter).to_local()

"""A stack of transformer blocks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

from ucf_vit.nn.block import Block
from ucf_vit.nn.modulation import ModulatedBlock, ModulatedNorm


class Encoder(nn.Module):
    """`depth` blocks and a final norm; also serves as the decoder of a masked autoencoder.

    `drop_path` rises linearly from 0 in the first block to the given rate in the last (Huang et al. 2016).
    With `condition_dim`, a condition of that width steers blocks and norm, see `ucf_vit.nn.modulation`.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        attention: str = "auto",
        norm_eps: float = 1e-6,
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        block, steered = (Block, ()) if condition_dim is None else (ModulatedBlock, (condition_dim,))
        self.blocks = nn.ModuleList(
            block(dim, num_heads, mlp_ratio, dropout, rate, attention, norm_eps, *steered) for rate in rates
        )
        self.norm = (
            nn.LayerNorm(dim, eps=norm_eps)
            if condition_dim is None
            else ModulatedNorm(dim, condition_dim, norm_eps)
        )

    def forward(
        self,
        x: Tensor,
        taps: Sequence[int] = (),
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """`[B, L, D]` to the normalised end result and the results of the blocks `taps`, not normalised.

        With `first`, the end result holds only the first so many tokens, and the last block computes no more:
        what a classifier reads from its class token comes for a sixth of that block's cost.

        With `valid` `[B, N]` bool, the last N tokens are attended to only where it is true; those before,
        such as a class token, always. What comes out for the others means nothing.

        `condition` `[B, D_c]` is for an encoder with `condition_dim`, and for no other.
        """
        steered = () if condition is None else (condition,)
        if valid is not None:
            valid = pad(valid, (x.shape[1] - valid.shape[1], 0), value=True)
        inner: dict[int, Tensor] = {}
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, first if i == last else None, valid, *steered)
            if i in taps:
                inner[i] = x
        return self.norm(x, *steered), [inner[i] for i in taps]

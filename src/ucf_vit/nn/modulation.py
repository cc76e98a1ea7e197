"""Adaptive layer norm with zero initialisation (adaLN-Zero): blocks modulated by a condition."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.nn.block import Block
from ucf_vit.options import EncoderOptions


class Modulation(nn.Linear):
    """Maps a condition `[B, D_c]` to `count` vectors `[B, 1, D]` for all tokens of a sample."""

    def __init__(self, condition_dim: int, dim: int, count: int) -> None:
        self.count = count
        super().__init__(condition_dim, count * dim)

    def reset_parameters(self) -> None:
        """Sets all weights to zero: scales and shifts have no effect, gates are closed."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Returns the vectors in the order in which they are used."""
        return super().forward(nn.functional.silu(condition))[:, None].chunk(self.count, dim=-1)


class ModulatedNorm(nn.Module):
    """Layer norm whose scale and shift come from the condition."""

    def __init__(self, dim: int, condition_dim: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.modulation = Modulation(condition_dim, dim, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`[B, L, D]` and `[B, D_c]` to `[B, L, D]`."""
        return modulate(self.norm(x), *self.modulation(condition))


class ModulatedBlock(Block):
    """Transformer block whose norms are scaled and shifted, and whose branches are gated, by the condition.

    As in DiT (Peebles and Xie 2023): at the start every gate is closed and the block returns its input.
    """

    def __init__(self, options: EncoderOptions, drop_path: float, condition_dim: int) -> None:
        super().__init__(options, drop_path)
        dim, eps = options.embed_dim, options.layer_norm_eps
        self.norm1 = nn.LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.modulation = Modulation(condition_dim, dim, 6)

    def forward(
        self,
        x: Tensor,
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Same as `Block.forward`; `condition` `[B, D_c]` is required."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(condition)
        residual = x if first is None else x[:, :first]
        mixed = self.attn(modulate(self.norm1(x), scale1, shift1), first, valid)
        x = residual + self.drop_path(gate1 * mixed)
        return x + self.drop_path(gate2 * self.mlp(modulate(self.norm2(x), scale2, shift2)))


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Returns `x * (1 + scale) + shift` for x `[B, L, D]`, scale and shift `[B, 1, D]`."""
    return x * (1 + scale) + shift

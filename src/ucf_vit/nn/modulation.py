"""Blocks that a condition steers: adaptive layer norm that starts as nothing (adaLN-zero)."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.nn.block import Block


class Modulation(nn.Linear):
    """A condition `[B, D_c]` to `count` vectors `[B, 1, D]` for all tokens of a sample; starts as zeros."""

    def __init__(self, condition_dim: int, dim: int, count: int) -> None:
        self.count = count
        super().__init__(condition_dim, count * dim)

    def reset_parameters(self) -> None:
        """Zeros: scales and shifts do nothing, gates are closed."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """The vectors, in the order in which they are used."""
        return super().forward(nn.functional.silu(condition))[:, None].chunk(self.count, dim=-1)


class ModulatedNorm(nn.Module):
    """Layer norm whose scale and shift the condition gives."""

    def __init__(self, dim: int, condition_dim: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.modulation = Modulation(condition_dim, dim, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`[B, L, D]` and `[B, D_c]` to `[B, L, D]`."""
        return modulate(self.norm(x), *self.modulation(condition))


class ModulatedBlock(Block):
    """A transformer block whose norms the condition scales and shifts and whose branches it gates.

    As in DiT (Peebles and Xie 2023): at the start every gate is closed and the block returns its input.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        dropout: float,
        drop_path: float,
        attention: str,
        norm_eps: float,
        condition_dim: int,
    ) -> None:
        super().__init__(dim, num_heads, mlp_ratio, dropout, drop_path, attention, norm_eps)
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps, elementwise_affine=False)
        self.modulation = Modulation(condition_dim, dim, 6)

    def forward(
        self,
        x: Tensor,
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """As `Block`; `condition` `[B, D_c]` must be there."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(condition)
        residual = x if first is None else x[:, :first]
        mixed = self.attn(modulate(self.norm1(x), scale1, shift1), first, valid)
        x = residual + self.drop_path(gate1 * mixed)
        return x + self.drop_path(gate2 * self.mlp(modulate(self.norm2(x), scale2, shift2)))


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`[B, L, D]` scaled by `1 + scale` and shifted, both `[B, 1, D]`."""
    return x * (1 + scale) + shift

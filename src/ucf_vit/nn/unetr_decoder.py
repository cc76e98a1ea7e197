"""Convolutional decoder of UNETR, for any patch size, in 2D and 3D.

Feature maps are channels last, `[B, *S, C]`: the order of tokens, in which 1x1 and transposed convolutions
are matrix products and convolution kernels are fastest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ucf_vit.nn.channels_last import Conv, instance_norm

_FINER = {
    2: "b h w (p q c) -> b (h p) (w q) c",
    3: "b h w d (p q r c) -> b (h p) (w q) (d r) c",
}


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.01)


class ResidualBlock(nn.Module):
    """Two convolutions with instance norm, leaky ReLU and a shortcut (Hatamizadeh et al. 2022)."""

    def __init__(self, dims: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.conv1 = Conv(dims, in_dim, out_dim)
        self.conv2 = Conv(dims, out_dim, out_dim)
        self.shortcut = nn.Linear(in_dim, out_dim, bias=False) if in_dim != out_dim else None

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *S, C_in]` to `[B, *S, C_out]`."""
        y = _activate(instance_norm(self.conv1(x)))
        y = instance_norm(self.conv2(y))
        return _activate(y + (x if self.shortcut is None else instance_norm(self.shortcut(x))))


class Upsample(nn.Module):
    """Transposed convolution with kernel = stride = `factor`: each cell becomes `factor**d` cells."""

    def __init__(self, dims: int, in_dim: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.kernel = (factor,) * dims
        self.linear = nn.Linear(in_dim, out_dim * factor**dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *S, C_in]` to `[B, *(factor * S), C_out]`."""
        return rearrange(
            self.linear(x), _FINER[len(self.kernel)], **dict(zip("pqr", self.kernel, strict=False))
        )


class SkipPath(nn.Sequential):
    """Skip connection: upsamples the tokens of an inner block by `factors` to the resolution of a stage."""

    def __init__(self, dims: int, in_dim: int, out_dim: int, factors: Sequence[int]) -> None:
        first, *rest = factors
        stages = [
            [Upsample(dims, out_dim, out_dim, factor), ResidualBlock(dims, out_dim, out_dim)]
            for factor in rest
        ]
        super().__init__(
            Upsample(dims, in_dim, out_dim, first), *(part for stage in stages for part in stage)
        )


class Merge(nn.Module):
    """Stage of the decoder: upsamples, joins a skip map of the same resolution, convolves."""

    def __init__(self, dims: int, in_dim: int, out_dim: int, factor: int, skip: bool) -> None:
        super().__init__()
        self.up = Upsample(dims, in_dim, out_dim, factor)
        self.block = ResidualBlock(dims, out_dim * (1 + skip), out_dim)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """x `[B, *S, C_in]`, skip `[B, *(f S), C_out]` to `[B, *(f S), C_out]`."""
        x = self.up(x)
        return self.block(x if skip is None else torch.cat([x, skip], dim=-1))


def stages_of(patch_size: int) -> list[int]:
    """Returns the upsampling factors from tokens to pixels: prime factors of the patch size, largest first.

    16 gives [2, 2, 2, 2], the published UNETR; 12 gives [3, 2, 2]; 1 gives [1], one stage without upsampling.
    """
    factors, divisor = [], 2
    while patch_size > 1:
        while patch_size % divisor == 0:
            factors.append(divisor)
            patch_size //= divisor
        divisor += 1
    return factors[::-1] or [1]


class UnetDecoder(nn.Module):
    """Decodes tokens of several depths of an encoder, and the image, to logits (Hatamizadeh et al. 2022).

    The last stage joins the image, and each stage before it the tokens of an inner block: the coarser the
    stage, the deeper the block. With `skips=False`, nothing is joined.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        embed_dim: int,
        feature_size: int,
        patch_size: int,
        out_dim: int,
        skips: bool,
    ) -> None:
        super().__init__()
        factors = stages_of(patch_size)
        widths = [feature_size * 2**level for level in reversed(range(len(factors)))]
        self.paths = nn.ModuleList(
            SkipPath(dims, embed_dim, width, factors[: 1 + i]) for i, width in enumerate(widths[:-1]) if skips
        )
        self.pixels = ResidualBlock(dims, in_channels, widths[-1]) if skips else None
        self.stages = nn.ModuleList(
            Merge(dims, below, width, factor, skips)
            for below, width, factor in zip([embed_dim, *widths[:-1]], widths, factors, strict=True)
        )
        self.head = nn.Linear(widths[-1], out_dim)

    def taps(self, depth: int) -> list[int]:
        """Returns which of `depth` blocks have their outputs joined: 9, 6, 3 of 12 for 4 stages."""
        stages = len(self.stages)
        return [depth * level // stages for level in reversed(range(1, 1 + len(self.paths)))]

    def forward(self, image: Tensor, inner: Sequence[Tensor], x: Tensor) -> Tensor:
        """Returns logits `[B, K, *S]`.

        Args:
            image: `[B, C, *S]`.
            inner: token maps of the blocks `taps`, deepest first, each `[B, *G, D]`.
            x: token map of the encoder's output, `[B, *G, D]`.
        """
        skips: list[Tensor | None] = [path(tokens) for path, tokens in zip(self.paths, inner, strict=True)]
        skips.append(self.pixels(image.movedim(1, -1)) if self.pixels is not None else None)
        skips = [None] * (len(self.stages) - len(skips)) + skips
        for stage, skip in zip(self.stages, skips, strict=True):
            x = stage(x, skip)
        return self.head(x).movedim(-1, 1).contiguous()

"""Convolutional decoder of UNETR, for any patch size, in 2D and 3D.

Feature maps are channels last, `[B, *S, C]`: the order of tokens, in which 1x1 and transposed convolutions
are matrix products and convolution kernels are fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ucf_vit.nn.channels_last import Conv, instance_norm
from ucf_vit.options.rules import AT_LEAST_1, check

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
    """Transposed convolution with kernel = stride = `factors`: each cell becomes `prod(factors)` cells.

    An axis with factor 1 keeps its size.
    """

    def __init__(self, in_dim: int, out_dim: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.kernel = tuple(factors)
        self.linear = nn.Linear(in_dim, out_dim * math.prod(factors), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, *S, C_in]` to `[B, *(factors * S), C_out]`."""
        return rearrange(
            self.linear(x), _FINER[len(self.kernel)], **dict(zip("pqr", self.kernel, strict=False))
        )


class SkipPath(nn.Sequential):
    """Skip connection: upsamples the tokens of an inner block to the resolution of a stage.

    `steps` are the factors along each axis of one upsampling after the other.
    """

    def __init__(self, in_dim: int, out_dim: int, steps: Sequence[Sequence[int]]) -> None:
        first, *rest = steps
        stages = [
            [Upsample(out_dim, out_dim, factors), ResidualBlock(len(factors), out_dim, out_dim)]
            for factors in rest
        ]
        super().__init__(Upsample(in_dim, out_dim, first), *(part for stage in stages for part in stage))


class Merge(nn.Module):
    """Stage of the decoder: upsamples, joins a skip map of the same resolution, convolves."""

    def __init__(self, in_dim: int, out_dim: int, factors: Sequence[int], skip: bool) -> None:
        super().__init__()
        self.up = Upsample(in_dim, out_dim, factors)
        self.block = ResidualBlock(len(factors), out_dim * (1 + skip), out_dim)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """x `[B, *S, C_in]`, skip `[B, *(factors * S), C_out]` to `[B, *(factors * S), C_out]`."""
        x = self.up(x)
        return self.block(x if skip is None else torch.cat([x, skip], dim=-1))


def stages_of(patch: Sequence[int]) -> list[tuple[int, ...]]:
    """Returns the factors of each upsampling from tokens to pixels, `[stages][axis]`.

    Along each axis they are the prime factors of the patch's side, largest first, then ones: a side that has
    fewer factors is at its full resolution earlier and stays there. So a patch of 16 x 16 x 8 has the stages
    (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 1): the last ones, close to the pixels, upsample only the finely
    sampled axes, as nnU-Net's decoders do for volumes of thick slices (Isensee et al. 2021). A patch of 16
    has four stages of 2, as the published UNETR; one of side 1 has one stage without upsampling.
    """
    return list(zip_longest(*map(_prime_factors, patch), fillvalue=1)) or [(1,) * len(patch)]


def widths_of(feature_size: int, stages: int) -> list[int]:
    """Returns the channels of each stage: `feature_size` in the last, twice as many in each before it.

    Raises UserError for less than 1.
    """
    check("feature_size", feature_size, AT_LEAST_1)
    return [feature_size * 2**level for level in reversed(range(stages))]


def _prime_factors(number: int) -> list[int]:
    """Returns the prime factors of `number`, largest first; none of 1."""
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors[::-1]


class UnetDecoder(nn.Module):
    """Decodes tokens of several depths of an encoder, and the image, to logits (Hatamizadeh et al. 2022).

    The last stage joins the image, and each stage before it the tokens of an inner block: the coarser the
    stage, the deeper the block. With `skips=False`, nothing is joined.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dim: int,
        feature_size: int,
        patch_size: Sequence[int],
        out_dim: int,
        skips: bool,
    ) -> None:
        super().__init__()
        steps = stages_of(patch_size)
        widths = widths_of(feature_size, len(steps))
        self.paths = nn.ModuleList(
            SkipPath(embed_dim, width, steps[: 1 + i]) for i, width in enumerate(widths[:-1]) if skips
        )
        self.pixels = ResidualBlock(len(patch_size), in_channels, widths[-1]) if skips else None
        self.stages = nn.ModuleList(
            Merge(below, width, factors, skips)
            for below, width, factors in zip([embed_dim, *widths[:-1]], widths, steps, strict=True)
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

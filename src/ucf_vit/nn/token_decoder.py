"""Decoder from each token to the pixels of its patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.nn.channels_last import Conv
from ucf_vit.nn.unetr_decoder import Upsample, stages_of, widths_of


class Stage(nn.Module):
    """Upsampling by `factors` along the axes: transposed convolution, norm, GELU."""

    def __init__(self, in_dim: int, out_dim: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.up = Upsample(in_dim, out_dim, factors)
        self.norm = nn.LayerNorm(out_dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """`[N, *S, C_in]` to `[N, *(factors * S), C_out]`."""
        return self.act(self.norm(self.up(x)))


class JoinPixels(nn.Module):
    """Two convolutions over features and the pixels they belong to, the second with a shortcut.

    Has no norms, since they would remove the intensities.
    """

    def __init__(self, dims: int, dim: int, pixel_dim: int) -> None:
        super().__init__()
        self.join = Conv(dims, dim + pixel_dim, dim)
        self.conv = Conv(dims, dim, dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor, pixels: Tensor) -> Tensor:
        """x `[N, *S, D]`, pixels `[N, *S, C]` to `[N, *S, D]`."""
        x = self.act(self.join(torch.cat([x, pixels.to(x.dtype)], dim=-1)))
        return x + self.act(self.conv(x))


class TokenDecoder(nn.Module):
    """Decodes a token to the pixels of its patch, of sides `patch_size`, independently of all other tokens.

    The stages are those of `stages_of`; the last has `feature_size` channels, each stage before it twice as
    many as the next. With `skips`, the pixels of the patch are joined at the end.
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
        self.stages = nn.Sequential(
            *(Stage(*s) for s in zip([embed_dim, *widths[:-1]], widths, steps, strict=True))
        )
        self.pixels = JoinPixels(len(patch_size), widths[-1], in_channels) if skips else None
        self.head = nn.Linear(widths[-1], out_dim)

    def forward(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """Tokens `[B, L, D]` and their patches `[B, L, C, *P]` to `[B, L, K, *P]`."""
        pixels = patches.flatten(0, 1).movedim(1, -1)
        x = self.stages(tokens.reshape(len(pixels), *[1] * (pixels.ndim - 2), -1))
        if self.pixels is not None:
            x = self.pixels(x, pixels)
        return self.head(x).movedim(-1, 1).contiguous().unflatten(0, tokens.shape[:2])

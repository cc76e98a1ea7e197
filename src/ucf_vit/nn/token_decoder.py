"""From tokens to the pixels of their patches, each token by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ucf_vit.nn.channels_last import Conv
from ucf_vit.nn.unet import Upsample, stages_of


class Stage(nn.Module):
    """Finer by `factor`: transposed convolution, if there are pixels a convolution over both, norm, GELU."""

    def __init__(self, dims: int, in_dim: int, out_dim: int, factor: int, pixel_dim: int = 0) -> None:
        super().__init__()
        self.up = Upsample(dims, in_dim, out_dim, factor)
        self.join = Conv(dims, out_dim + pixel_dim, out_dim) if pixel_dim else None
        self.norm = nn.LayerNorm(out_dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor, pixels: Tensor) -> Tensor:
        """x `[N, *S, C_in]`, pixels `[N, *(f S), C]` to `[N, *(f S), C_out]`."""
        x = self.up(x)
        if self.join is not None:
            x = self.join(torch.cat([x, pixels.to(x.dtype)], dim=-1))
        return self.act(self.norm(x))


class TokenDecoder(nn.Module):
    """A token becomes the `patch_size**d` pixels of its patch and never sees another token.

    One stage per prime factor of the patch size; the last has `feature_size` channels, each before it twice
    as many. With `skips` the last stage also takes in the patch itself, which its token holds in short form
    only.
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
        joined = [0] * (len(factors) - 1) + [in_channels if skips else 0]
        self.stages = nn.ModuleList(
            Stage(dims, *sizes)
            for sizes in zip([embed_dim, *widths[:-1]], widths, factors, joined, strict=True)
        )
        self.head = nn.Linear(widths[-1], out_dim)

    def forward(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """Tokens `[B, L, D]` and their patches `[B, L, C, *P]` to `[B, L, K, *P]`."""
        pixels = patches.flatten(0, 1).movedim(1, -1)
        x = tokens.reshape(len(pixels), *[1] * (pixels.ndim - 2), -1)
        for stage in self.stages:
            x = stage(x, pixels)
        return self.head(x).movedim(-1, 1).contiguous().unflatten(0, tokens.shape[:2])

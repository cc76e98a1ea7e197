"""Convolutional stem: tokens from overlapping patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact
from ucf_vit.patching.uniform import PatchGrid

WIDTH = 64
"""Channels of the layers at full resolution; halved sides have twice as many."""


class StemLayer(nn.Module):
    """3 x 3 (x 3) convolution, norm over the channels of each pixel, ReLU; `[B, *S, C]` to `[B, *S', C']`."""

    def __init__(self, in_dim: int, out_dim: int, stride: Sequence[int]) -> None:
        super().__init__()
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(stride)]
        self.conv = convolution(in_dim, out_dim, 3, tuple(stride), padding=1, bias=False)
        self.norm = nn.LayerNorm(out_dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves feature maps, channels last; an axis with stride 2 is halved."""
        return F.relu(self.norm(self.conv(x.movedim(-1, 1)).movedim(1, -1)))


class ConvStem(nn.Sequential):
    """Convolutional stem (after Xiao et al. 2021): patches `[B, L, C * prod(P)]` to tokens `[B, L, D]`.

    Three layers at full resolution are followed by layers that halve the axes until each patch is one token,
    two for patches of 4 pixels. The norm knows no other sample, so that a batch may be split over processes.
    Raises UserError where the side of a patch is no power of two.
    """

    def __init__(self, grid: PatchGrid, dim: int) -> None:
        patch = grid.patch_size
        if any(side & (side - 1) for side in patch):
            raise UserError(
                f"stem conv halves patches to one token; patch_size {compact(patch)}: take powers of 2"
            )
        strides = _strides(patch)
        widths = [*([WIDTH] * 3 + [2 * WIDTH] * len(strides))[:-1], dim]
        layers, channels = [], grid.in_channels
        for width, stride in zip(widths, [(1,) * len(patch)] * 3 + strides, strict=True):
            layers.append(StemLayer(channels, width, stride))
            channels = width
        super().__init__(*layers)
        self.grid = grid

    def forward(self, patches: Tensor, numbers: Sequence[int] | None = None) -> Tensor:
        """Embeds patches; `numbers` is accepted for the interface of `VariableEmbed` and has no effect."""
        return super().forward(self.grid.join(patches).movedim(1, -1)).flatten(1, -2)


def _strides(patch: Sequence[int]) -> list[tuple[int, ...]]:
    """Returns the stride of each layer that halves, along each axis: 2 while its side is not used up."""
    steps = [side.bit_length() - 1 for side in patch]
    return [tuple(2 if step < axis else 1 for axis in steps) for step in range(max(steps))]

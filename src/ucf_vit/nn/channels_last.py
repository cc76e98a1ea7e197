"""Convolution and norm of feature maps held channels last, `[B, *S, C]`."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalises each channel of each sample `[B, *S, C]` to mean 0, variance 1 (Ulyanov et al. 2016).

    Works on rows of `S[-1] * C` values, which a CPU reduces much faster than rows of C. Statistics are in
    float32.
    """
    *_, last, channels = x.shape
    return _InstanceNorm.apply(x.reshape(x.shape[0], -1, last * channels), channels, eps).view_as(x)


class _InstanceNorm(torch.autograd.Function):
    """Instance norm of `[B, R, n * C]`, with half the memory traffic of plain operations."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, channels: int, eps: float) -> Tensor:
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        y = wide - _channel_mean(wide, channels)
        scale = (_channel_mean(y * y, channels) + eps).rsqrt()
        y = (y.mul_(scale)).to(rows.dtype)
        ctx.save_for_backward(y, scale)
        ctx.channels = channels
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Returns `scale * (g - mean(g) - y * mean(g * y))` for the gradient g of y."""
        y, scale = ctx.saved_tensors
        grad = grads[0].to(scale.dtype)
        out = grad * y
        torch.mul(y, _channel_mean(out, ctx.channels), out=out)
        torch.sub(grad, out, out=out)
        out.sub_(_channel_mean(grad, ctx.channels)).mul_(scale)
        return out.to(y.dtype), None, None


def _channel_mean(rows: Tensor, channels: int) -> Tensor:
    """Returns the mean of each channel of `[B, R, n * C]`, repeated to `[B, 1, n * C]`."""
    repeats = rows.shape[-1] // channels
    return rows.mean(1).view(-1, repeats, channels).mean(1).repeat(1, repeats)[:, None]


class Conv(nn.Module):
    """3 x 3 (x 3) convolution without bias, `[B, *S, C_in]` to `[B, *S, C_out]`."""

    def __init__(self, dims: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.conv = convolution(in_dim, out_dim, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves; the channels-first view that torch expects costs nothing."""
        x = x.movedim(-1, 1)
        y = _convolve_halves(x, self.conv.weight) if _has_slow_kernel(x) else self.conv(x)
        return y.movedim(1, -1)


def _has_slow_kernel(x: Tensor) -> bool:
    """Returns whether torch (2.15) picks its slow kernel for `[B, C, *S]`: one small volume on the CPU."""
    small = x.ndim == 5 and x.shape[0] == 1 and math.prod(x.shape[:4]) <= 20480
    return small and x.device.type == "cpu" and x.dtype == torch.float32


def _convolve_halves(x: Tensor, weight: Tensor) -> Tensor:
    """Convolves one volume `[1, C, H, W, D]` as a batch of its two halves; up to 17 times faster."""
    height = x.shape[2]
    half = (height + 1) // 2
    padded = F.pad(x, (0, 0, 0, 0, 1, 1 + height % 2))
    halves = torch.cat([padded[:, :, : half + 2], padded[:, :, half:]])
    y = F.conv3d(halves, weight, padding=(0, 1, 1))
    return torch.cat(y.split(1), dim=2)[:, :, :height]

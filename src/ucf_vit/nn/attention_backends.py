"""Scaled dot-product attention with a choice of kernels."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import Registry

BACKENDS: Registry[Tensor] = Registry("attention backend")
"""`(q, k, v, mask, dropout) -> Tensor`, all `[B, H, L, D]`."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0, backend: str = "auto"
) -> Tensor:
    """Returns softmax(q kᵀ / √D) v over the last two axes (Vaswani et al. 2017).

    Shapes: q `[B, H, L, D]`, k and v `[B, H, M, D]`, result `[B, H, L, D]`. `mask` is broadcast to
    `[B, H, L, M]`: bool (True: attended to) or float (added to the logits). `dropout` is the fraction of
    attention weights that are dropped; pass 0 in evaluation.

    Backends: `auto` lets torch choose; `flash`, `efficient`, `cudnn` and `math` force one of torch's kernels;
    `xformers` and `xformers_ck` (ROCm) use xFormers' flash and composable-kernel attention.
    Raises UserError if the backend is unknown, not installed, or cannot serve the device, dtype or shape.
    """
    kernel = BACKENDS[backend]
    try:
        return kernel(q, k, v, mask, dropout)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        if backend == "auto" or "out of memory" in str(error):
            raise
        raise UserError(
            f"attention backend {backend!r} cannot serve {q.dtype} on {q.device.type} with q {list(q.shape)}"
            f"{' and a mask' if mask is not None else ''}: {_first_line(error)}. Use attention 'auto'"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@BACKENDS.register("auto")
def _auto_kernel(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def _torch_kernel(
    kernel: SDPBackend, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    with sdpa_kernel(kernel):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


for _name, _kernel in {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}.items():
    BACKENDS.register(_name)(partial(_torch_kernel, _kernel))


def _xformers_kernel(
    operator: str, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    fmha = _import_xformers().fmha
    module = getattr(fmha, operator)
    tokens_first = (x.transpose(1, 2) for x in (q, k, v))
    out = fmha.memory_efficient_attention(
        *tokens_first, attn_bias=_as_bias(mask, q, k), p=dropout, op=(module.FwOp, module.BwOp)
    )
    return out.transpose(1, 2)


def _import_xformers() -> Any:
    try:
        import xformers.ops
    except ImportError as error:
        raise UserError(
            "attention backend 'xformers' needs the package xformers: pip install ucf-vit[xformers]"
        ) from error
    return xformers.ops


def _as_bias(mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
    """Returns the mask as an additive bias of full shape `[B, H, L, M]`, as xFormers wants it."""
    if mask is None:
        return None
    bias = (
        q.new_zeros(mask.shape).masked_fill(~mask, float("-inf")) if mask.dtype.is_bool else mask.to(q.dtype)
    )
    return bias.expand(*q.shape[:-1], k.shape[-2])


BACKENDS.register("xformers")(partial(_xformers_kernel, "flash"))
BACKENDS.register("xformers_ck")(partial(_xformers_kernel, "ck"))

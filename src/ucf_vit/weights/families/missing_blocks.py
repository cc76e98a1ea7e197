"""Blocks of other networks without a counterpart here, with which they compute something else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ucf_vit.core.errors import UserError

MISSING = {
    "register tokens": r"(^|\.)(reg_tokens?|register_tokens?|storage_tokens)$",
    "layer scale": r"(\.ls[12]\.gamma|\.gamma_[12]|layer_scale[12]?\.lambda1)$",
    "a SwiGLU MLP": r"\.mlp\.(w12|w[123]|fc1_[gx]|norm)\.",
    "rotary positions": r"(^|\.)(rope|rope_embed|rotary\w*)(\.|$)|\.inv_freq$",
    "norms of queries and keys": r"\.attn\.(q_norm|k_norm|norm_q|norm_k|norm)\.",
    "relative positions": r"relative_position|(^|[._])rel_pos",
    "biases of queries and values only": r"\.attn\.(q_bias|v_bias)$",
    "a norm before the blocks": r"^(norm_pre|ln_pre)\.",
    "a convolutional stem": r"^patch_embed\.(backbone|conv|stem)",
    "a norm of patch tokens": r"^patch_embed\.norm\.",
    "windows of attention": r"(^|\.)layers\.\d+\.blocks\.",
}
"""Blocks that the networks here lack, with a pattern of the names of their tensors."""
_KNOWN = re.compile(r"(norm[12]|norm_cross_attn|cross_attn|attn\.(qkv|proj|out_proj)|mlp\.(fc|linear)[12])\.")
_OF_BLOCKS = re.compile(r"(^|_)blocks\.\d+\.(?P<rest>.+)")
UNKNOWN = "not known here"
"""Reason for a tensor outside of blocks without a counterpart."""


def check_blocks(names: Iterable[str]) -> None:
    """Raises UserError naming the blocks, or a tensor of a block, that the networks here do not have."""
    names = list(names)
    found = {
        block: next(name for name in names if re.search(pattern, name))
        for block, pattern in MISSING.items()
        if any(re.search(pattern, name) for name in names)
    }
    if found:
        listed = ", ".join(f"{block} ({name})" for block, name in found.items())
        raise UserError(
            f"weights of a network with {listed}, which the networks here do not have; take those of a plain "
            "ViT, such as timm's vit_base_patch16_224, deit_base_patch16_224, or a masked autoencoder's"
        )
    for name in names:
        inner = _OF_BLOCKS.search(name)
        if inner and not _KNOWN.match(inner["rest"]):
            raise refuse(name)


def refuse(name: str) -> UserError:
    """Returns the error for a tensor within a block that the networks here do not have."""
    return UserError(f"weight {name!r} belongs to an option that the networks here do not have")

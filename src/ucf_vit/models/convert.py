"""Conversion of weights between timm or MONAI and the networks of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError

Weights = dict[str, Tensor]

_TIMM = {"patch_embed.proj": "embed", "blocks": "encoder.blocks", "norm": "encoder.norm", "head": "head"}

_MONAI = {
    "vit.patch_embedding.patch_embeddings": "embed",
    "vit.blocks": "encoder.blocks",
    "vit.norm": "encoder.norm",
    "encoder1.layer": "decoder.pixels",
    "encoder2.transp_conv_init.conv": "decoder.paths.2.0.linear",
    "encoder2.blocks.0.0.conv": "decoder.paths.2.1.linear",
    "encoder2.blocks.0.1": "decoder.paths.2.2",
    "encoder2.blocks.1.0.conv": "decoder.paths.2.3.linear",
    "encoder2.blocks.1.1": "decoder.paths.2.4",
    "encoder3.transp_conv_init.conv": "decoder.paths.1.0.linear",
    "encoder3.blocks.0.0.conv": "decoder.paths.1.1.linear",
    "encoder3.blocks.0.1": "decoder.paths.1.2",
    "encoder4.transp_conv_init.conv": "decoder.paths.0.0.linear",
    **{f"decoder{5 - stage}.transp_conv.conv": f"decoder.stages.{stage}.up.linear" for stage in range(4)},
    **{f"decoder{5 - stage}.conv_block": f"decoder.stages.{stage}.block" for stage in range(4)},
    "out.conv.conv": "decoder.head",
}
_MONAI_PARTS = {"attn.out_proj": "attn.proj", "mlp.linear": "mlp.fc", "conv3.conv": "shortcut"}


def from_timm(state: Mapping[str, Tensor]) -> Weights:
    """Converts the state dict of a `timm` VisionTransformer to that of `VIT` with learned positions.

    The position of timm's class token is added to the class token.
    Raises UserError on weights of options that `VIT` does not have.
    """
    weights: Weights = {}
    for name, value in state.items():
        if name not in ("pos_embed", "cls_token"):
            weights |= _split_qkv(_rename(name, _TIMM), value)
    positions = state["pos_embed"][0]
    if "cls_token" in state:
        weights["class_token.token"] = state["cls_token"].flatten() + positions[0]
        positions = positions[1:]
    weights["positions.table"] = positions
    weights["embed.weight"] = weights["embed.weight"].flatten(1)
    return weights


def to_timm(weights: Mapping[str, Tensor], patch_size: Sequence[int]) -> Weights:
    """Converts the state dict of a `VIT` for images, with patches of sides `patch_size`, to that of `timm`.

    It is that of a VisionTransformer. The class token gets a position of zeros.
    """
    names = {new: old for old, new in _TIMM.items()}
    rest = dict(weights)
    flat, positions = rest.pop("embed.weight"), rest.pop("positions.table")
    state: Weights = {"patch_embed.proj.weight": flat.unflatten(1, (-1, *patch_size))}
    if "class_token.token" in rest:
        token = rest.pop("class_token.token")
        state["cls_token"] = token[None, None]
        positions = torch.cat([torch.zeros_like(token)[None], positions])
    state["pos_embed"] = positions[None]
    return state | {_rename(name, names): value for name, value in _fuse_qkv(rest).items()}


def from_monai_unetr(state: Mapping[str, Tensor]) -> Weights:
    """Converts the state dict of MONAI's `UNETR` (2D or 3D) to that of `UNETR`.

    For a network with patch 16, depth 12 and learned positions. Biases of q, k and v, which MONAI leaves out
    by default, become zeros.
    Raises UserError on weights of options that `UNETR` does not have.
    """
    rest = {name: value for name, value in state.items() if ".norm_cross_attn." not in name}
    weights: Weights = {"positions.table": rest.pop("vit.patch_embedding.position_embeddings")[0]}
    for name, value in rest.items():
        new = _rename(name, _MONAI)
        for old_part, new_part in _MONAI_PARTS.items():
            new = new.replace(old_part, new_part)
        if new.endswith("linear.weight"):
            value = value.movedim(1, -1).flatten(1).T
        elif new.endswith(("embed.weight", "head.weight", "shortcut.weight")):
            value = value.flatten(1)
        weights |= _split_qkv(new, value)
    for name in [name for name in weights if name.endswith((".q.weight", ".k.weight", ".v.weight"))]:
        weights.setdefault(name.removesuffix("weight") + "bias", torch.zeros_like(weights[name][:, 0]))
    return weights


def _rename(name: str, modules: Mapping[str, str]) -> str:
    for old, new in modules.items():
        if name.startswith(old + "."):
            return new + name[len(old) :]
    raise UserError(f"weight {name!r} belongs to an option that the networks here do not have")


def _split_qkv(name: str, value: Tensor) -> Weights:
    """Splits a fused `...qkv.x`, with rows in the order q, k, v, into three; returns others unchanged."""
    if ".qkv." not in name:
        return {name: value}
    return {
        name.replace(".qkv.", f".{part}."): rows for part, rows in zip("qkv", value.chunk(3), strict=True)
    }


def _fuse_qkv(weights: Weights) -> Weights:
    """Fuses q, k and v of all weights; the inverse of `_split_qkv`."""
    fused: Weights = {}
    for name, value in weights.items():
        if ".attn.q." in name:
            parts = [weights[name.replace(".attn.q.", f".attn.{part}.")] for part in "qkv"]
            fused[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        elif ".attn.k." not in name and ".attn.v." not in name:
            fused[name] = value
    return fused

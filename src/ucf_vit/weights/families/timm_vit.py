"""Weights of timm's VisionTransformer: vit_*, deit_*, also distilled, and networks that name theirs so."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import torch
from torch import Tensor

from ucf_vit.models.transfer import Source
from ucf_vit.weights.converted import Converted, Family, Hint, Weights
from ucf_vit.weights.families.missing_blocks import UNKNOWN, check_blocks, refuse
from ucf_vit.weights.families.renaming import fuse_qkv, renamed, split_positions, split_qkv

NAMES = {"blocks": "encoder.blocks", "norm": "encoder.norm", "head": "head"}
LEFT = {
    "dist_token": "token of the distillation, which the networks here do not have",
    "head_dist": "head of the distillation token",
    "fc_norm": "norm of the mean of the tokens; the networks here normalise before the mean",
    "attn_pool": "attention pooling",
    "pre_logits": "layer before the head",
    "mask_token": "token of masked patches",
}


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of a timm VisionTransformer."""
    return "patch_embed.proj.weight" in names and "blocks.0.attn.qkv.weight" in names


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Converts the state dict of a VisionTransformer to that of `VIT` with learned positions.

    The position of the class token is added to the class token. With a norm after pooling, norm and head are
    left out, since the networks here have theirs before it.
    """
    check_blocks(tensors)
    left: dict[str, str] = {}
    weights, source = encoder_weights(tensors, hint, left)
    pooled = any(name.startswith("fc_norm.") for name in tensors)
    for name, value in tensors.items():
        if name.startswith(("patch_embed.", "pos_embed", "cls_token")):
            continue
        top = name.partition(".")[0]
        new = renamed(name, NAMES)
        if top in LEFT or (pooled and top == "head"):
            left[name] = LEFT.get(top, LEFT["fc_norm"])
        elif new is None:
            left[name] = UNKNOWN
        else:
            weights |= split_qkv(new, value)
    return Converted(
        weights=weights,
        source=Source(grid=source.grid, patch=source.patch, output="class logits"),
        left=left,
        norm_eps=1e-6,
    )


def encoder_weights(
    tensors: Mapping[str, Tensor], hint: Hint, left: dict[str, str]
) -> tuple[Weights, Source]:
    """Returns projection of patches, positions and class token, and what they tell about the network."""
    kernel = tensors["patch_embed.proj.weight"]
    patch = tuple(kernel.shape[2:])
    if len(patch) not in (2, 3):
        raise refuse("patch_embed.proj.weight")
    weights: Weights = {"embed.weight": kernel.flatten(1)}
    if "patch_embed.proj.bias" in tensors:
        weights["embed.bias"] = tensors["patch_embed.proj.bias"]
    else:
        weights["embed.bias"] = torch.zeros_like(kernel[:, 0].flatten(1)[:, 0])
    grid = None
    token = tensors["cls_token"].flatten() if "cls_token" in tensors else None
    if "pos_embed" in tensors:
        prefix = ("cls_token" in tensors) + ("dist_token" in tensors)
        table = tensors["pos_embed"].flatten(0, -2)
        first, weights["positions.table"], grid = split_positions(table, prefix, len(patch), hint.grid)
        token = token + first[0] if token is not None and len(first) else token
    if token is not None:
        weights["class_token.token"] = token
    return weights, Source(grid=grid, patch=patch)


def to_timm(weights: Mapping[str, Tensor], patch_size: Sequence[int]) -> Weights:
    """Converts the state dict of a `VIT` for images, with patches of sides `patch_size`, to that of `timm`.

    It is that of a VisionTransformer. The class token gets a position of zeros.
    """
    names = {new: old for old, new in {"patch_embed.proj": "embed", **NAMES}.items()}
    rest = dict(weights)
    flat, positions = rest.pop("embed.weight"), rest.pop("positions.table")
    state: Weights = {"patch_embed.proj.weight": flat.unflatten(1, (-1, *patch_size))}
    if "class_token.token" in rest:
        token = rest.pop("class_token.token")
        state["cls_token"] = token[None, None]
        positions = torch.cat([torch.zeros_like(token)[None], positions])
    state["pos_embed"] = positions[None]
    for name, value in fuse_qkv(rest).items():
        new = renamed(name, names)
        if new is None:
            raise refuse(name)
        state[new] = value
    return state


FAMILY = Family("timm VisionTransformer", recognises, convert)

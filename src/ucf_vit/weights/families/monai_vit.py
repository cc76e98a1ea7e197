"""Weights of MONAI's ViT and of its autoencoder ViTAutoEnc."""

from __future__ import annotations

from collections.abc import Container, Mapping
from math import prod

import torch
from torch import Tensor

from ucf_vit.models.transfer import Source
from ucf_vit.registries.networks import Output
from ucf_vit.weights.converted import Converted, Family, Hint, Weights
from ucf_vit.weights.families.missing_blocks import check_blocks, refuse
from ucf_vit.weights.families.renaming import channels_first, fuse_qkv, renamed, split_positions, split_qkv

NAMES = {
    "blocks": "encoder.blocks",
    "norm": "encoder.norm",
    "classification_head.0": "head",
    "classification_head": "head",
}
PARTS = {"attn.out_proj": "attn.proj", "mlp.linear": "mlp.fc"}
_POSITIONS = "patch_embedding.position_embeddings"
_KERNEL, _LINEAR = "patch_embedding.patch_embeddings", "patch_embedding.patch_embeddings.1"
_UPSAMPLING = ("conv3d_transpose.", "conv3d_transpose_1.")
_CROSS = "attention to another image, which this network does not use"


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of a ViT or ViTAutoEnc."""
    return _POSITIONS in names and "blocks.0.attn.out_proj.weight" in names


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Converts the state dict of a ViT or ViTAutoEnc to that of `VIT`; the decoder of the latter is left."""
    left: dict[str, str] = {}
    weights, source = encoder_weights(tensors, hint, left)
    for name in [name for name in tensors if name.startswith(_UPSAMPLING)]:
        left[name] = "decoder of the autoencoder"
    if "classification_head.0.weight" in tensors:
        left["classification_head.1"] = "Tanh after the head; the head here returns logits"
    output: Output | None = "class logits" if any(name.startswith("head.") for name in weights) else None
    found = Source(grid=source.grid, patch=source.patch, output=output)
    return Converted(weights=weights, source=found, left=left, norm_eps=1e-5)


def encoder_weights(
    tensors: Mapping[str, Tensor], hint: Hint, left: dict[str, str]
) -> tuple[Weights, Source]:
    """Returns the weights of a ViT without decoders, and what they tell about it."""
    check_blocks(tensors)
    weights, patch = _projection(tensors, hint, left)
    table = tensors[_POSITIONS].flatten(0, -2)
    dims = len(patch) if patch else 3
    _, weights["positions.table"], grid = split_positions(table, 0, dims, hint.grid)
    for name, value in tensors.items():
        if name == "cls_token":
            weights["class_token.token"] = value.flatten()
        elif ".norm_cross_attn." in name or ".cross_attn." in name:
            left[name] = _CROSS
        elif not name.startswith(("patch_embedding.", *_UPSAMPLING)):
            new = renamed(name, NAMES)
            if new is None:
                raise refuse(name)
            weights |= split_qkv(_with_parts(new, PARTS), value)
    return weights, Source(grid=grid, patch=patch)


def _projection(
    tensors: Mapping[str, Tensor], hint: Hint, left: dict[str, str]
) -> tuple[Weights, tuple[int, ...] | None]:
    """Returns the projection of patches: of a convolution, or of a Linear with the channels of a pixel as
    neighbours, whose patch only `hint` can tell.
    """
    if f"{_KERNEL}.weight" in tensors:
        kernel = tensors[f"{_KERNEL}.weight"]
        return {"embed.weight": kernel.flatten(1), "embed.bias": tensors[f"{_KERNEL}.bias"]}, tuple(
            kernel.shape[2:]
        )
    rows, bias = tensors[f"{_LINEAR}.weight"], tensors[f"{_LINEAR}.bias"]
    if hint.patch is None or rows.shape[1] % prod(hint.patch):
        left[f"{_LINEAR}.weight"] = "projection of patches whose sides the file does not tell"
        return {"embed.bias": bias}, None
    return {"embed.weight": channels_first(rows.T, hint.patch).T, "embed.bias": bias}, hint.patch


def _with_parts(name: str, parts: Mapping[str, str]) -> str:
    for old, new in parts.items():
        name = name.replace(old, new)
    return name


def to_monai(weights: Mapping[str, Tensor], patch: tuple[int, ...]) -> Weights:
    """Converts the state dict of a `VIT` to that of a MONAI ViT with a convolution for the patches.

    Norms for cross-attention, which it has but does not use, are those of a new one. Raises UserError for
    weights that it cannot have, such as a head without a class token.
    """
    rest = dict(weights)
    state: Weights = {
        f"{_KERNEL}.weight": rest.pop("embed.weight").unflatten(1, (-1, *patch)),
        f"{_KERNEL}.bias": rest.pop("embed.bias"),
        _POSITIONS: rest.pop("positions.table")[None],
    }
    if "class_token.token" in rest:
        state["cls_token"] = rest.pop("class_token.token")[None, None]
    names = {"encoder.blocks": "blocks", "encoder.norm": "norm", "head": "classification_head"}
    for name, value in fuse_qkv(rest).items():
        new = renamed(name, names)
        if new is None or (name.startswith("head.") and "cls_token" not in state):
            raise refuse(name)
        state[_with_parts(new, {new: old for old, new in PARTS.items()})] = value
    for name in [name for name in state if name.startswith("blocks.") and ".norm1." in name]:
        fill = torch.ones_like if name.endswith("weight") else torch.zeros_like
        state[name.replace(".norm1.", ".norm_cross_attn.")] = fill(state[name])
    return state


FAMILY = Family("MONAI ViT", recognises, convert)

"""Weights of MONAI's UNETR for images and volumes."""

from __future__ import annotations

from collections.abc import Container, Mapping

from torch import Tensor

from ucf_vit.models.transfer import Source
from ucf_vit.weights.converted import Converted, Family, Hint, Weights
from ucf_vit.weights.families import monai_vit
from ucf_vit.weights.families.missing_blocks import refuse
from ucf_vit.weights.families.renaming import renamed

DECODER = {
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
_SHORTCUT = ("conv3.conv", "shortcut")
_PREFIX = "vit."


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of a UNETR."""
    return "vit.patch_embedding.position_embeddings" in names and "decoder5.transp_conv.conv.weight" in names


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Converts the state dict of a UNETR (2D or 3D, depth 12, patch 16) to that of `UNETR`."""
    left: dict[str, str] = {}
    inner = {name[len(_PREFIX) :]: value for name, value in tensors.items() if name.startswith(_PREFIX)}
    weights, source = monai_vit.encoder_weights(inner, hint, left)
    if bad := [name for name in ("class_token.token", "head.weight") if name in weights]:
        raise refuse(f"{_PREFIX}{'cls_token' if bad[0].startswith('class') else 'classification_head'}")
    for name, value in tensors.items():
        if not name.startswith(_PREFIX):
            weights |= decoder_weights(name, value)
    found = Source(grid=source.grid, patch=source.patch, output="voxel logits")
    left = {_PREFIX + name: reason for name, reason in left.items()}
    return Converted(weights=weights, source=found, left=left, norm_eps=1e-5)


def decoder_weights(name: str, value: Tensor) -> Weights:
    """Converts a tensor of the decoder: convolutions that act on pixels one by one become Linears."""
    new = renamed(name, DECODER)
    if new is None:
        raise refuse(name)
    new = new.replace(*_SHORTCUT)
    if new.endswith("linear.weight"):
        value = value.movedim(1, -1).flatten(1).T
    elif new.endswith(("head.weight", "shortcut.weight")):
        value = value.flatten(1)
    return {new: value}


def to_monai_unetr(
    weights: Mapping[str, Tensor], patch: tuple[int, ...], factors: list[tuple[int, ...]]
) -> Weights:
    """Converts the state dict of a `UNETR` with patches of 16 and depth 12 to that of MONAI's.

    `factors` are those of the upsampling of each stage. Raises UserError for other weights.
    """
    names = {new: old for old, new in DECODER.items()}
    encoder = {name: value for name, value in weights.items() if not name.startswith("decoder.")}
    state = {_PREFIX + name: value for name, value in monai_vit.to_monai(encoder, patch).items()}
    ones = (1,) * len(patch)
    for name, value in weights.items():
        if name.startswith("decoder."):
            new = renamed(name, names)
            if new is None:
                raise refuse(name)
            if name.endswith("linear.weight"):
                value = value.T.unflatten(1, (*factors[0], -1)).movedim(-1, 1)
            elif name.endswith(("head.weight", "shortcut.weight")):
                value = value.reshape(*value.shape, *ones)
            state[new.replace(_SHORTCUT[1], _SHORTCUT[0])] = value
    return state


FAMILY = Family("MONAI UNETR", recognises, convert)

"""Weights of masked autoencoders as their authors name them (He et al. 2022), with encoder and decoder."""

from __future__ import annotations

from collections.abc import Container, Mapping

from torch import Tensor

from ucf_vit.models.transfer import Source
from ucf_vit.weights.converted import Converted, Family, Hint
from ucf_vit.weights.families.missing_blocks import UNKNOWN, check_blocks
from ucf_vit.weights.families.renaming import channels_first, renamed, split_qkv
from ucf_vit.weights.families.timm_vit import encoder_weights

NAMES = {
    "blocks": "encoder.blocks",
    "norm": "encoder.norm",
    "decoder_embed": "decoder.embed",
    "decoder_blocks": "decoder.encoder.blocks",
    "decoder_norm": "decoder.encoder.norm",
    "decoder_pred": "decoder.head",
}


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of a masked autoencoder."""
    own = ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "decoder_blocks.0.attn.qkv.weight")
    return all(name in names for name in own)


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Converts the state dict of a MaskedAutoencoderViT to that of `MAE`.

    Predicted pixels change their order: there the channels of a pixel are neighbours, here the pixels of a
    channel. The class token has no position in the decoder here; in the published network that is zero.
    """
    check_blocks(tensors)
    left: dict[str, str] = {}
    weights, source = encoder_weights(tensors, hint, left)
    for name, value in tensors.items():
        if name == "mask_token":
            weights["decoder.mask_token.token"] = value.flatten()
        elif name == "decoder_pos_embed":
            tokens = len(weights["positions.table"])
            weights["decoder.positions.table"] = value.flatten(0, -2)[-tokens:]
        elif not name.startswith(("patch_embed.", "pos_embed", "cls_token")):
            new = renamed(name, NAMES)
            if new is None:
                left[name] = UNKNOWN
                continue
            if new.startswith("decoder.head."):
                value = channels_first(value, source.patch or ())
            weights |= split_qkv(new, value)
    found = Source(grid=source.grid, patch=source.patch, output="masked patches")
    return Converted(weights=weights, source=found, left=left, norm_eps=1e-6)


FAMILY = Family("masked autoencoder (authors' names)", recognises, convert)

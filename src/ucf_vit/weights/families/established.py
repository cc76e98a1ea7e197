"""Weights of UCF-VIT's single-file checkpoints: its VIT, MAE, UNETR, SAP and DiffusionVIT."""

from __future__ import annotations

from collections.abc import Container, Mapping

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.models.transfer import Source
from ucf_vit.registries.networks import Output
from ucf_vit.weights.converted import Converted, Family, Hint, Weights
from ucf_vit.weights.families import mae_authors, timm_vit
from ucf_vit.weights.families.missing_blocks import UNKNOWN, check_blocks
from ucf_vit.weights.families.monai_unetr import DECODER, decoder_weights
from ucf_vit.weights.families.renaming import channels_first, renamed, split_qkv

NAMES = {**timm_vit.NAMES, **mae_authors.NAMES, "var_agg.proj": "embed.aggregation.proj"}
_LEFT = {
    "token_embeds": "projection of adaptive patches between two norms",
    "adaptive_pos_dep_emb": "positions of adaptive patches of another kind",
    "decoder_adaptive_pos_dep_emb": "positions of adaptive patches of another kind",
    "mlp_head": "linear decoder, whose voxels are interpolated",
    "neck": "decoder of patches of another kind",
    "mask_header": "decoder of patches of another kind",
    "timeEmbeddingMap": "embedding of the time of another kind",
    "temporalEmbeddings": "embedding of the time of another kind",
    "decoder_pred": "linear decoder after an encoder that has not seen the masked patches",
    "mask_token": "linear decoder after an encoder that has not seen the masked patches",
}
_KERNEL = "patch_embed.proj.weight"


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of a network of UCF-VIT, which all have `token_embeds`."""
    own = ("token_embeds.proj.weight", "token_embeds.0.proj.weight", "token_embeds.1.weight")
    adaptive_variables = "token_embeds.0.1.weight"
    return "blocks.0.attn.qkv.weight" in names and any(n in names for n in (*own, adaptive_variables))


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Converts the state dict of a network of UCF-VIT.

    Its decoders are those of MONAI's UNETR and of the masked autoencoder's authors. A class token's position
    is added to the token; the embedding of a variable is joined with the bias of the projection.
    """
    check_blocks(tensors)
    left: dict[str, str] = {}
    weights, source, variables = _before_blocks(tensors, hint, left)
    for name, value in tensors.items():
        top = name.partition(".")[0]
        if top in ("patch_embed", "pos_embed", "cls_token", "var_embed", "var_query") or name in left:
            continue
        if top == "token_embeds" and _KERNEL in tensors:
            continue
        if name.startswith("var_agg.") and not name.startswith("var_agg.proj."):
            continue
        weights |= _converted(name, value, tensors, source, left)
    output = _output(tensors)
    found = Source(grid=source.grid, patch=source.patch, variables=variables, output=output)
    return Converted(weights=weights, source=found, left=left, norm_eps=1e-6)


def _output(tensors: Mapping[str, Tensor]) -> Output | None:
    if "head.weight" in tensors:
        return "class logits"
    if "out.conv.conv.weight" in tensors:
        return "voxel logits"
    return "masked patches" if "mask_token" in tensors else None


def _converted(
    name: str, value: Tensor, tensors: Mapping[str, Tensor], source: Source, left: dict[str, str]
) -> Weights:
    """Converts a tensor of the blocks or of what follows them."""
    if renamed(name, DECODER):
        return decoder_weights(name, value)
    has_decoder = "decoder_embed.weight" in tensors
    if name == "mask_token" and has_decoder:
        return {"decoder.mask_token.token": value.flatten()}
    if name == "decoder_pos_embed":
        return {"decoder.positions.table": value.flatten(0, -2)}
    top, new = name.partition(".")[0], renamed(name, NAMES)
    if new is None or (top in _LEFT and not has_decoder):
        left[name] = _LEFT.get(top, UNKNOWN)
        return {}
    if new.startswith("decoder.head."):
        if source.patch is None:
            left[name] = "belongs to patches of unknown sides"
            return {}
        value = channels_first(value, source.patch)
    return split_qkv(new, value)


def _before_blocks(
    tensors: Mapping[str, Tensor], hint: Hint, left: dict[str, str]
) -> tuple[Weights, Source, tuple[str, ...]]:
    """Returns projections, positions and class token; of variables also their aggregation and names."""
    if _KERNEL not in tensors:  # adaptive patches: a sequence has no grid
        table = tensors.get("pos_embed")
        rows = None if table is None else table.flatten(0, -2)[("cls_token" in tensors) :]
        weights: Weights = {} if rows is None else {"positions.table": rows}
        if "cls_token" in tensors and table is not None:
            weights["class_token.token"] = tensors["cls_token"].flatten() + table.flatten(0, -2)[0]
        return weights, Source(grid=None if rows is None else (len(rows),), patch=None), ()
    weights, source = timm_vit.encoder_weights(tensors, hint, left)
    if "var_embed" not in tensors:
        return weights, source, ()
    kernel, bias = weights.pop("embed.weight"), weights.pop("embed.bias")
    names = _variables(tensors["var_embed"], hint)
    weights["embed.tokens.weight"] = kernel.T.expand(len(names), -1, -1)
    weights["embed.tokens.embedding"] = tensors["var_embed"].flatten(0, -2) + bias
    if "var_query" in tensors:
        key, value = tensors["var_agg.kv.weight"].chunk(2)
        query = tensors["var_agg.q.weight"] @ tensors["var_query"].flatten()
        weights |= {"embed.aggregation.query.token": query, "embed.aggregation.k.weight": key}
        weights |= {"embed.aggregation.v.weight": value}
        weights["embed.aggregation.v.bias"] = torch.zeros_like(value[:, 0])
    return weights, source, names


def _variables(table: Tensor, hint: Hint) -> tuple[str, ...]:
    """Returns the names of the variables of `[1, V, D]`: those of the network that the weights are for."""
    count = table.shape[-2]
    if hint.variables and len(hint.variables) != count:
        raise UserError(
            f"weights of {count} named variables, in the order of their default_vars, for a network of "
            f"{len(hint.variables)}: take a config with the same default_vars"
        )
    return hint.variables or tuple(str(number) for number in range(count))


FAMILY = Family("UCF-VIT checkpoint", recognises, convert)

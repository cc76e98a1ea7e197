"""Describes weights: family, shapes, and the keys of a config for a network that they fit."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ucf_vit.core.lists import first_and_rest
from ucf_vit.core.per_axis import compact, product_of
from ucf_vit.models.transfer_report import by_reason
from ucf_vit.weights.open_weights import Opened

HEAD = 64
"""Width of a head in all published networks of these families."""


def describe(opened: Opened) -> str:
    """Returns family, shapes and output of weights, tensors that have no counterpart here, and keys.

    `opened` may have tensors without values.
    """
    found = opened.converted
    shapes = [value.shape for value in opened.tensors.values()]
    lines = [
        f"{opened.place}: {opened.family.name}, {len(shapes)} tensors, {sum(map(prod, shapes)):,} parameters",
        f"width {found.width}, depth {found.depth}, {_heads(opened)}",
        f"patch {_sides(found.source.patch)}, {found.channels or 'unknown'} channels, grid of patches "
        f"{_sides(found.source.grid)}",
        f"output: {found.source.output or 'tokens'}{_classes(opened)}",
        f"class token: {'yes' if 'class_token.token' in found.weights else 'no'}",
    ]
    if opened.facts.get("task"):
        step = opened.facts.get("step", "unknown")
        lines.append(f"trained for {opened.facts['task']} as {opened.facts.get('network')}, step {step}")
    if opened.channels:
        lines.append(f"channels: {', '.join(first_and_rest(list(opened.channels), 10))}")
    lines += by_reason("left", found.left)
    return "\n".join([*lines, "keys of a config that fits:", *_keys(opened)])


def _heads(opened: Opened) -> str:
    if opened.num_heads is not None:
        return f"{opened.num_heads} heads"
    found = opened.converted
    if found.width is None or found.width % HEAD:
        return "the number of heads is not in the file"
    return (
        f"the number of heads is not in the file ({found.width // HEAD} of {HEAD} features, if as published)"
    )


def _sides(sides: Sequence[int] | None) -> str:
    return product_of(sides) if sides else "unknown"


def _classes(opened: Opened) -> str:
    found = opened.converted
    head = found.weights.get("head.weight", found.weights.get("decoder.head.weight"))
    classes = found.source.output in ("class logits", "voxel logits")
    if head is None or not classes:
        return ""
    names = f": {', '.join(first_and_rest(list(opened.classes), 20))}" if opened.classes else ""
    return f", {len(head)} classes{names}"


def _keys(opened: Opened) -> list[str]:
    """Returns the keys of a config in YAML."""
    found = opened.converted
    weights, width = found.weights, found.width or 0
    hidden = weights.get("encoder.blocks.0.mlp.fc1.weight")
    model: dict[str, object] = {"embed_dim": width, "depth": found.depth}
    heads = opened.num_heads or (width // HEAD if width % HEAD == 0 else 0)
    if heads:
        model["num_heads"] = heads
    if hidden is not None and width and len(hidden) != 4 * width:
        model["mlp_ratio"] = len(hidden) / width
    if "encoder.blocks.0.attn.q.bias" not in weights:
        model["qkv_bias"] = "false"
    if found.norm_eps is not None:
        model["norm_eps"] = f"{found.norm_eps:.1e}".replace(".0e", "e")
    if "class_token.token" not in weights:
        model["class_token"] = "false"
    if (decoder := weights.get("decoder.embed.weight")) is not None:
        model["decoder_embed_dim"] = len(decoder)
    lines = ["  model:", *(f"    {name}: {value}" for name, value in model.items())]
    patch, grid = found.source.patch, found.source.grid
    if patch:
        lines += ["  input:", f"    patch_size: {compact(patch)}"]
        on_grid = grid is not None and len(grid) == len(patch)
        tile = opened.tile or ([n * p for n, p in zip(grid or (), patch, strict=True)] if on_grid else [])
        lines += [f"    tile_size: {list(tile)}"] if tile else []
    return lines

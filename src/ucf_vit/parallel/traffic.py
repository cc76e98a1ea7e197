"""Estimates of the bytes that ranks exchange in a training step; the formulas are in docs/parallelism.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from torch import nn

from ucf_vit.nn.block import Block
from ucf_vit.nn.encoder import Encoder
from ucf_vit.parallel.encoder.rules import RULES
from ucf_vit.parallel.encoder.token_group import Exchange, uses_ring
from ucf_vit.parallel.ranks.mesh import MeshLayout


@dataclass(frozen=True)
class ElementSizes:
    """Bytes of an activation, of a block's weight while gathered, and of a gradient while summed.

    Weights outside blocks are gathered in four bytes.
    """

    activation: int = 4
    weight: int = 4
    gradient: int = 4


def bytes_per_step(
    model: nn.Module,
    tokens: Mapping[str, int],
    batch: int,
    layout: MeshLayout,
    sizes: ElementSizes,
    reshard_after_forward: bool = True,
    attention: Exchange = "auto",
) -> dict[str, int]:
    """Returns the bytes of the collectives of one rank along tensor, seq, shard (fsdp x seq) and ddp.

    `tokens` maps the name of each Encoder to its number of tokens; `batch` is the number of samples of a data
    rank. A gather counts with the gathered tensor, a reduction with the tensor before it is summed, and an
    exchange with the larger of the parts that a rank sends and receives.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    in_blocks = sum(_local_parameters(block, layout.tensor) for block in blocks)
    outside = _local_parameters(model, layout.tensor) - in_blocks
    traffic = {"tensor": 0, "seq": 0, "shard": 0, "ddp": 0}
    for name, length in tokens.items():
        encoder = model.get_submodule(name)
        assert isinstance(encoder, Encoder)
        if layout.tensor > 1:
            shard = ceil(length / layout.seq)
            traffic["tensor"] += _tensor_bytes(encoder, shard, batch, layout.tensor, sizes)
        if layout.seq > 1:
            traffic["seq"] += _sequence_bytes(encoder, length, batch, layout, sizes, attention)
    if layout.is_simple:
        return traffic | {"ddp": (in_blocks + outside) * 4 if layout.ddp > 1 else 0}
    if layout.shard > 1:
        gathered = in_blocks * sizes.weight * (1 + reshard_after_forward) + outside * 4
        traffic["shard"] = gathered + (in_blocks + outside) * sizes.gradient
    if layout.ddp > 1:
        traffic["ddp"] = ceil((in_blocks + outside) / layout.shard) * sizes.gradient
    return traffic


def _tensor_bytes(encoder: Encoder, length: int, batch: int, ranks: int, sizes: ElementSizes) -> int:
    """Returns the bytes that tensor ranks exchange for `length` tokens.

    Each block exchanges all tokens 8 times, and both ends of the encoder once; in addition the gradients of
    norms and biases are summed.
    """
    width, depth = encoder.blocks[0].attn.q.in_features, len(encoder.blocks)
    tokens = batch * ranks * ceil(length / ranks) * width * sizes.activation
    return tokens * (8 * depth + 2) + (6 * depth + 2) * width * sizes.gradient


def _sequence_bytes(
    encoder: Encoder, length: int, batch: int, layout: MeshLayout, sizes: ElementSizes, attention: Exchange
) -> int:
    """Returns the bytes that sequence ranks exchange for `length` tokens.

    Both ends of the encoder exchange all tokens. Each block exchanges 8 tensors for heads, or passes keys and
    values, and their gradients in float32, round the ring.
    """
    attn, ranks = encoder.blocks[0].attn, layout.seq
    shard, width = ceil(length / ranks), attn.q.in_features
    heads = attn.q.out_features // attn.head_dim // layout.tensor
    ends = 2 * batch * ranks * shard * width * sizes.activation
    if not uses_ring(attention, heads, ranks):
        values = max(shard * heads, length * ceil(heads / ranks)) * attn.head_dim
        return ends + len(encoder.blocks) * 8 * batch * values * sizes.activation
    keys_values = 2 * batch * shard * heads * attn.head_dim
    values_bytes, gradient_bytes = 2 * (ranks - 1) * sizes.activation, ranks * max(sizes.activation, 4)
    return ends + len(encoder.blocks) * keys_values * (values_bytes + gradient_bytes)


def _local_parameters(module: nn.Module, ranks: int) -> int:
    """Returns the number of parameter elements that one of `ranks` tensor ranks holds."""
    split: dict[int, int] = {}
    for part in module.modules():
        for name, style in RULES[type(part)].parts.items() if type(part) in RULES else ():
            for parameter_name, parameter in part.get_submodule(name).named_parameters():
                if (style.weight if parameter_name == "weight" else style.bias).is_shard():
                    split[id(parameter)] = ranks
    return sum(p.numel() // split.get(id(p), 1) for p in module.parameters())

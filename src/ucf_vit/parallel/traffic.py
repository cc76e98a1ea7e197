"""What ranks exchange in a training step, by the formulas of docs/parallelism.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from torch import nn

from ucf_vit.nn.block import Block
from ucf_vit.nn.encoder import Encoder
from ucf_vit.parallel.encoder.rules import RULES
from ucf_vit.parallel.encoder.sequence import Exchange, uses_ring
from ucf_vit.parallel.ranks.mesh import MeshLayout


@dataclass(frozen=True)
class Sizes:
    """Bytes of an activation, of a block's weight while it is gathered, and of a gradient while it is summed.

    Outside blocks weights are gathered in four bytes.
    """

    activation: int = 4
    weight: int = 4
    gradient: int = 4


def bytes_per_step(
    model: nn.Module,
    tokens: Mapping[str, int],
    batch: int,
    layout: MeshLayout,
    sizes: Sizes,
    reshard_after_forward: bool = True,
    attention: Exchange = "auto",
) -> dict[str, int]:
    """Bytes of the collectives that one rank takes part in: along tensor, seq, shard (fsdp x seq) and ddp.

    `tokens` gives the number of tokens of each Encoder by its name, `batch` the samples of a data rank. Each
    collective counts with its whole tensor, gathered or before it is summed, an exchange with what the rank
    sends or gets, whichever is more.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    in_blocks = sum(_held(block, layout.tensor) for block in blocks)
    outside = _held(model, layout.tensor) - in_blocks
    traffic = {"tensor": 0, "seq": 0, "shard": 0, "ddp": 0}
    for name, length in tokens.items():
        encoder = model.get_submodule(name)
        assert isinstance(encoder, Encoder)
        if layout.tensor > 1:
            run = ceil(length / layout.seq)
            traffic["tensor"] += _of_tensor_ranks(encoder, run, batch, layout.tensor, sizes)
        if layout.seq > 1:
            traffic["seq"] += _of_token_ranks(encoder, length, batch, layout, sizes, attention)
    if layout.is_simple:
        return traffic | {"ddp": (in_blocks + outside) * 4 if layout.ddp > 1 else 0}
    if layout.shard > 1:
        gathered = in_blocks * sizes.weight * (1 + reshard_after_forward) + outside * 4
        traffic["shard"] = gathered + (in_blocks + outside) * sizes.gradient
    if layout.ddp > 1:
        traffic["ddp"] = ceil((in_blocks + outside) / layout.shard) * sizes.gradient
    return traffic


def _of_tensor_ranks(encoder: Encoder, length: int, batch: int, ranks: int, sizes: Sizes) -> int:
    """8 exchanges of all tokens of a run per block, one at each end, and sums for norms and biases."""
    width, depth = encoder.blocks[0].attn.q.in_features, len(encoder.blocks)
    tokens = batch * ranks * ceil(length / ranks) * width * sizes.activation
    return tokens * (8 * depth + 2) + (6 * depth + 2) * width * sizes.gradient


def _of_token_ranks(
    encoder: Encoder, length: int, batch: int, layout: MeshLayout, sizes: Sizes, attention: Exchange
) -> int:
    """All tokens at each end; per block 8 exchanges for heads, or keys and values round a ring."""
    attn, ranks = encoder.blocks[0].attn, layout.seq
    run, width = ceil(length / ranks), attn.q.in_features
    heads = width // attn.head_dim // layout.tensor
    ends = 2 * batch * ranks * run * width * sizes.activation
    if not uses_ring(attention, heads, ranks):
        values = max(run * heads, length * ceil(heads / ranks)) * attn.head_dim
        return ends + len(encoder.blocks) * 8 * batch * values * sizes.activation
    passed = 2 * batch * run * heads * attn.head_dim
    forth, back = 2 * (ranks - 1) * sizes.activation, ranks * max(sizes.activation, 4)
    return ends + len(encoder.blocks) * passed * (forth + back)


def _held(module: nn.Module, ranks: int) -> int:
    """Parameters of which a tensor rank holds its part."""
    split: dict[int, int] = {}
    for part in module.modules():
        for name, style in RULES[type(part)].parts.items() if type(part) in RULES else ():
            for which, parameter in part.get_submodule(name).named_parameters():
                if (style.weight if which == "weight" else style.bias).is_shard():
                    split[id(parameter)] = ranks
    return sum(p.numel() // split.get(id(p), 1) for p in module.parameters())

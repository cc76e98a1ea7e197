"""What ranks exchange in a training step, by the formulas of docs/parallelism.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from torch import nn

from ucf_vit.nn.block import Block
from ucf_vit.nn.encoder import Encoder
from ucf_vit.parallel.mesh import Layout
from ucf_vit.parallel.rules import RULES


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
    layout: Layout,
    sizes: Sizes,
    reshard_after_forward: bool = True,
) -> dict[str, int]:
    """Bytes of the collectives that one rank takes part in, by axis of the layout.

    `tokens` gives the number of tokens of each Encoder by its name, `batch` the samples of a data rank. Each
    collective counts with its whole tensor, gathered or before it is summed.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    in_blocks = sum(_held(block, layout.tensor) for block in blocks)
    outside = _held(model, layout.tensor) - in_blocks
    traffic = {"tensor": 0, "fsdp": 0, "ddp": 0}
    if layout.tensor > 1:
        traffic["tensor"] = sum(
            _of_encoder(model.get_submodule(name), length, batch, layout.tensor, sizes)
            for name, length in tokens.items()
        )
    if layout.is_simple:
        return traffic | {"ddp": (in_blocks + outside) * 4 if layout.ddp > 1 else 0}
    if layout.fsdp > 1:
        gathered = in_blocks * sizes.weight * (1 + reshard_after_forward) + outside * 4
        traffic["fsdp"] = gathered + (in_blocks + outside) * sizes.gradient
    if layout.ddp > 1:
        traffic["ddp"] = ceil((in_blocks + outside) / layout.fsdp) * sizes.gradient
    return traffic


def _of_encoder(encoder: nn.Module, length: int, batch: int, ranks: int, sizes: Sizes) -> int:
    """Tensor ranks: 8 exchanges of all tokens per block, one at each end, and sums for norms and biases."""
    assert isinstance(encoder, Encoder)
    width, depth = encoder.blocks[0].attn.q.in_features, len(encoder.blocks)
    tokens = batch * ranks * ceil(length / ranks) * width * sizes.activation
    return tokens * (8 * depth + 2) + (6 * depth + 2) * width * sizes.gradient


def _held(module: nn.Module, ranks: int) -> int:
    """Parameters of which a tensor rank holds its part."""
    split: dict[int, int] = {}
    for part in module.modules():
        for name, style in RULES[type(part)].parts.items() if type(part) in RULES else ():
            for which, parameter in part.get_submodule(name).named_parameters():
                if (style.weight if which == "weight" else style.bias).is_shard():
                    split[id(parameter)] = ranks
    return sum(p.numel() // split.get(id(p), 1) for p in module.parameters())

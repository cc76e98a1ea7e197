"""Checks of sizes: each may be right, but their product is a network or a batch that no machine holds."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from rich.filesize import decimal

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

NUMBER = 4
"""Bytes of a number in float32."""
MOST_WEIGHTS = 2**50
"""Bytes of all weights of a network: 1 PiB, a thousand times what any network has."""
MOST_BATCH = 2**43
"""Bytes of one rank's batch: 8 TiB, more than the memory of a machine."""


def weights(run: Run) -> Iterator[Problem]:
    """The weights have room in some machine."""
    size = NUMBER * parameters(run)
    if size > MOST_WEIGHTS:
        has_decoder = run.network_facts.token_decoder
        decoder = ("model.decoder_embed_dim", "model.decoder_depth") if has_decoder else ()
        names = ("model.embed_dim", "model.depth", *decoder, "input.patch_size")
        message = f"no machine holds {decimal(size)} of weights, or more ({_values(run, names)})"
        yield Problem(tuple(run.written(*names).split(".")), message)


def batch(run: Run) -> Iterator[Problem]:
    """One rank's batch has room in some machine."""
    size = NUMBER * run.data.batch_size * numbers_per_sample(run)
    if size > MOST_BATCH:
        names = ("input.tile_size", "model.embed_dim", "adaptive.fixed_length", "model.num_classes")
        message = f"no machine holds {decimal(size)} for samples and tokens, or more ({_values(run, names)})"
        yield Problem(("data", "batch_size"), message, run.data.batch_size)


def parameters(run: Run) -> int:
    """The least number of weights: those of blocks, embedding and linear head; 0 for other networks."""
    net, facts = run.model, run.network_facts
    if not facts.encoder:
        return 0
    patch = run.input.patch_size ** len(run.spatial_tile)
    found = _blocks(net.depth, net.embed_dim, net.mlp_ratio) + run.in_channels * patch * net.embed_dim
    if facts.token_decoder and not net.linear_decoder:
        found += _blocks(net.decoder_depth, net.decoder_embed_dim, net.mlp_ratio_decoder)
        found += run.in_channels * patch * net.decoder_embed_dim
    if facts.output == "class logits":
        found += (net.num_classes or 0) * net.embed_dim
    return found


def _blocks(depth: int, width: int, mlp_ratio: float) -> int:
    """Attention has four matrices of the width, an MLP two that are `mlp_ratio` times as wide."""
    return depth * (4 * width**2 + 2 * width * int(width * mlp_ratio))


def numbers_per_sample(run: Run) -> int:
    """The numbers in a tile, its tokens, and what is computed for each of its pixels."""
    voxels, net = prod(run.spatial_tile), run.model
    classes = (net.num_classes or 0) if run.label_kind == "voxel" else 0
    return voxels * (run.in_channels + classes) + prod(run.grid) * net.embed_dim


def _values(run: Run, names: tuple[str, ...]) -> str:
    given = [(run.name_of(name), run.value(name)) for name in names]
    return ", ".join(f"{name} {value}" for name, value in given if value is not None)

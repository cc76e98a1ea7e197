"""Checks that the network and a batch are not larger than any machine's memory."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from rich.filesize import decimal

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

FLOAT_BYTES = 4
MOST_WEIGHTS = 2**50
"""Largest size of all weights in bytes: 1 PiB, a thousand times that of any network."""
MOST_BATCH = 2**43
"""Largest size of one rank's batch in bytes: 8 TiB, more than the memory of a machine."""


def weights(run: Run) -> Iterator[Problem]:
    """Checks the size of all weights."""
    size = FLOAT_BYTES * parameters(run)
    if size > MOST_WEIGHTS:
        has_decoder = run.network_facts.token_decoder
        decoder = ("model.decoder_embed_dim", "model.decoder_depth") if has_decoder else ()
        names = ("model.embed_dim", "model.depth", *decoder, "input.patch_size")
        message = f"no machine holds {decimal(size)} of weights, or more ({_values(run, names)})"
        yield Problem(tuple(run.written(*names).split(".")), message)


def batch(run: Run) -> Iterator[Problem]:
    """Checks the size of one rank's batch."""
    size = FLOAT_BYTES * run.data.batch_size * numbers_per_sample(run)
    if size > MOST_BATCH:
        names = ("input.tile_size", "model.embed_dim", "adaptive.fixed_length", "model.num_classes")
        message = f"no machine holds {decimal(size)} for samples and tokens, or more ({_values(run, names)})"
        yield Problem(("data", "batch_size"), message, run.data.batch_size)


def parameters(run: Run) -> int:
    """Returns a lower bound of the number of weights; 0 for networks without the package's encoder."""
    net, facts = run.model, run.network_facts
    if not facts.encoder:
        return 0
    patch = prod(run.patch)
    inner = net.num_heads * net.head_dim if net.head_dim else net.embed_dim
    count = _block_weights(net.depth, net.embed_dim, net.mlp_ratio, inner)
    if run.input.stem == "patch":
        count += run.in_channels * patch * net.embed_dim
    if facts.token_decoder and not net.linear_decoder:
        count += _block_weights(
            net.decoder_depth, net.decoder_embed_dim, net.mlp_ratio_decoder, net.decoder_embed_dim
        )
        count += run.in_channels * patch * net.decoder_embed_dim
    if facts.output == "class logits":
        count += (net.num_classes or 0) * net.embed_dim
    return count


def _block_weights(depth: int, width: int, mlp_ratio: float, inner: int) -> int:
    """Returns the weights of blocks: 4 width inner in attention, 2 mlp_ratio width^2 in the MLP."""
    return depth * (4 * width * inner + 2 * width * int(width * mlp_ratio))


def numbers_per_sample(run: Run) -> int:
    """Returns the number of floats of a sample: the tile, its tokens, and the logits of each pixel."""
    voxels, net = prod(run.spatial_tile), run.model
    classes = (net.num_classes or 0) if run.label_kind == "voxel" else 0
    return voxels * (run.in_channels + classes) + prod(run.grid) * net.embed_dim


def _values(run: Run, names: tuple[str, ...]) -> str:
    given = [(run.name_of(name), run.value(name)) for name in names]
    return ", ".join(f"{name} {value}" for name, value in given if value is not None)

"""Options of a network from the config of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ucf_vit.config.run import Run
from ucf_vit.core.per_axis import per_axis
from ucf_vit.options import (
    DecoderOptions,
    EncoderOptions,
    InputOptions,
    PretrainedOptions,
    VariableOptions,
    pick,
)


def input_options(run: Run) -> InputOptions:
    """Returns the options of the network's input: channels, tile and patches."""
    seen = {"in_channels": run.in_channels, "tile_size": run.spatial_tile, "variables": _variables(run)}
    return pick(InputOptions, run.input.model_dump() | run.adaptive.model_dump() | seen)


def _variables(run: Run) -> VariableOptions | None:
    options = run.variables
    if not options.use_varemb:
        return None
    return VariableOptions(
        names=run.input.default_vars,
        aggregation=options.aggregation,
        group=options.aggregation_group,
        partial=options.aggregation_partial,
    )


def encoder_options(run: Run) -> EncoderOptions:
    """Returns the options of the encoder: width, depth and blocks."""
    return pick(EncoderOptions, run.model.model_dump())


def decoder_options(run: Run) -> DecoderOptions:
    """Returns the options of the transformer decoder, for networks that have one."""
    model = run.model
    return DecoderOptions(
        embed_dim=model.decoder_embed_dim,
        depth=model.decoder_depth,
        num_heads=model.decoder_num_heads,
        mlp_ratio=model.mlp_ratio_decoder,
    )


def pretrained_options(run: Run) -> PretrainedOptions:
    """Returns how pretrained weights are fitted to the network."""
    return pick(PretrainedOptions, run.model.model_dump())


def patch_of(config: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    """Returns the sides of a patch in a dumped config."""
    seen = config["input"]
    dims = 2 if seen.get("twoD") else len(seen["tile_size"])
    return per_axis(seen["patch_size"], dims, "patch_size")

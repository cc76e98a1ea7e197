"""From a run to the options of its network."""

from __future__ import annotations

from ucf_vit.config.run import Run
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions, VariableOptions, pick


def input_options(run: Run) -> InputOptions:
    """Returns what the network of `run` sees."""
    values = run.model.model_dump()
    seen = {"in_channels": run.in_channels, "tile_size": run.spatial_tile, "variables": _variables(run)}
    return pick(InputOptions, values | seen)


def _variables(run: Run) -> VariableOptions | None:
    model = run.model
    if not model.use_varemb:
        return None
    return VariableOptions(
        names=model.default_vars,
        aggregation=model.aggregation,
        group=model.aggregation_group,
        partial=model.aggregation_partial,
    )


def encoder_options(run: Run) -> EncoderOptions:
    """Returns width, depth and blocks of the encoder of `run`."""
    return pick(EncoderOptions, run.model.model_dump())


def decoder_options(run: Run) -> DecoderOptions:
    """Returns width and depth of a second transformer, for networks that have one."""
    model = run.model
    return DecoderOptions(
        embed_dim=model.decoder_embed_dim,
        depth=model.decoder_depth,
        num_heads=model.decoder_num_heads,
        mlp_ratio=model.mlp_ratio_decoder,
    )

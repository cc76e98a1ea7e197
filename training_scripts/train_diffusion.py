"""Train a diffusion model; `ucf-vit sample` makes images with it.

    python training_scripts/train_diffusion.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_diffusion.py CONFIG.yaml

To try another loss or weighting, subclass `Denoising` here and override `forward` or `draw`.
"""

import sys

import torch

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.models import DiffusionVIT
from ucf_vit.tasks import Denoising
from ucf_vit.train.build import build_patcher, condition_names
from ucf_vit.train.launch import start
from ucf_vit.train.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Everything a run needs, in order."""
    run = load(path, overrides, task="diffusion")
    with start(run) as world:
        net = run.model
        conditions = condition_names(run)
        with torch.device("meta"):  # no memory yet: each process gets the weights it is to hold
            model = DiffusionVIT(
                in_channels=run.in_channels,
                tile_size=run.spatial_tile,
                patch_size=net.patch_size,
                embed_dim=net.embed_dim,
                depth=net.depth,
                num_heads=net.num_heads,
                mlp_ratio=net.mlp_ratio,
                drop_rate=net.drop_rate,
                drop_path=net.drop_path,
                decoder_embed_dim=net.decoder_embed_dim,
                decoder_depth=net.decoder_depth,
                decoder_num_heads=net.decoder_num_heads,
                mlp_ratio_decoder=net.mlp_ratio_decoder,
                linear_decoder=net.linear_decoder,
                conditioning=net.conditioning,
                condition_counts=[len(values) for values in conditions.values()],
                pos_embed=net.pos_embed,
                adaptive_patching=net.adaptive_patching,
                fixed_length=net.fixed_length,
                separate_channels=net.separate_channels,
                use_adaptive_pos_emb=net.use_adaptive_pos_emb,
                attention=net.attention,
                use_varemb=net.use_varemb,
                default_vars=net.default_vars,
                aggregation=net.aggregation,
                aggregation_group=net.aggregation_group,
                aggregation_partial=net.aggregation_partial,
            )
        task = Denoising(
            model,
            num_time_steps=net.num_time_steps,
            noise_schedule=net.noise_schedule,
            prediction=net.prediction,
            min_snr=net.min_snr,
            conditions=conditions,
            condition_dropout=net.condition_dropout,
            unit_range=None,  # the data decides
            patcher=build_patcher(run),
        )
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Train SAP to give every voxel a class, token by token along adaptive patches.

    python training_scripts/train_sap.py CONFIG.yaml [model.fixed_length=1016 ...]
    torchrun --nproc-per-node=4 training_scripts/train_sap.py CONFIG.yaml

To try another loss or metric, subclass `TokenSegmentation` here and override `forward` or `evaluate`; another
measure of detail is a function, see `model.detail`.
"""

import sys

import torch

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.models import SAP
from ucf_vit.tasks import TokenSegmentation
from ucf_vit.train.build import build_patcher
from ucf_vit.train.launch import start
from ucf_vit.train.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Everything a run needs, in order."""
    run = load(path, overrides, task="sap")
    with start(run) as world:
        net = run.model
        with torch.device("meta"):  # no memory yet: each process gets the weights it is to hold
            model = SAP(
                in_channels=run.in_channels,
                num_classes=run.num_classes,
                tile_size=run.spatial_tile,
                patch_size=net.patch_size,
                embed_dim=net.embed_dim,
                depth=net.depth,
                num_heads=net.num_heads,
                mlp_ratio=net.mlp_ratio,
                drop_rate=net.drop_rate,
                drop_path=net.drop_path,
                feature_size=net.feature_size,
                skip_connection=net.skip_connection,
                pos_embed=net.pos_embed,
                fixed_length=run.fixed_length,
                separate_channels=net.separate_channels,
                use_adaptive_pos_emb=net.use_adaptive_pos_emb,
                attention=net.attention,
                use_varemb=net.use_varemb,
                default_vars=net.default_vars,
                aggregation=net.aggregation,
                aggregation_group=net.aggregation_group,
                aggregation_partial=net.aggregation_partial,
            )
        task = TokenSegmentation(
            model,
            run.num_classes,
            run.spatial_tile,
            overlap=run.trainer.sliding_window_overlap,
            patcher=build_patcher(run),
            ignores=run.data.ignore_label is not None,
        )
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

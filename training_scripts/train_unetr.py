"""Train UNETR, or the network that `model.name` says, to give every voxel a class.

    python training_scripts/train_unetr.py CONFIG.yaml [model.feature_size=32 ...]
    torchrun --nproc-per-node=4 training_scripts/train_unetr.py CONFIG.yaml

To try another loss or metric, subclass `Segmentation` here and override `forward` or `evaluate`.
"""

import sys

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.tasks import Segmentation
from ucf_vit.training.build import build_network, build_patcher
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="segmentation")
    with start(run) as world:
        task = Segmentation(
            build_network(run),
            run.num_classes,
            run.spatial_tile,
            overlap=run.trainer.sliding_window_overlap,
            patcher=build_patcher(run),
            ignores=run.data.ignore_label is not None,
            **run.trainer.task_options,
        )
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

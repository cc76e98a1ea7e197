"""Train SAP, or the network that `model.name` says, to give every voxel a class along adaptive patches.

    python training_scripts/train_sap.py CONFIG.yaml [adaptive.fixed_length=1016 ...]
    torchrun --nproc-per-node=4 training_scripts/train_sap.py CONFIG.yaml

To try another loss or metric, subclass `TokenSegmentation` here and override `forward` or `evaluate`; another
measure of detail is a function, see `adaptive.detail`.
"""

import sys

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.tasks import TokenSegmentation
from ucf_vit.training.build import build_network, build_patcher
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="token_segmentation")
    with start(run) as world:
        task = TokenSegmentation(
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

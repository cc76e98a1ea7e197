"""Train a Vision Transformer, or the network that `model.name` says, to classify images.

    python training_scripts/train_classification.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_classification.py CONFIG.yaml

To try another loss or metric, subclass `Classification` here and override `forward` or `evaluate`.
"""

import sys

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.tasks import Classification
from ucf_vit.training.build import build_network, build_patcher
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="classification")
    with start(run) as world:
        task = Classification(build_network(run), patcher=build_patcher(run), **run.trainer.task_options)
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

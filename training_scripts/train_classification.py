"""Train a Vision Transformer to classify images.

    python training_scripts/train_classification.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_classification.py CONFIG.yaml

To try another loss or metric, subclass `Classification` here and override `forward` or `evaluate`.
"""

import sys

import torch

from ucf_vit.cli.main import guarded
from ucf_vit.config import encoder_options, input_options, load
from ucf_vit.models import VIT
from ucf_vit.tasks import Classification
from ucf_vit.train.build import build_patcher
from ucf_vit.train.launch import start
from ucf_vit.train.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="classification")
    with start(run) as world:
        with torch.device("meta"):  # no memory yet: each process gets the weights it is to hold
            model = VIT(
                input_options(run),
                encoder_options(run),
                num_classes=run.num_classes,
                class_token=run.model.class_token,
            )
        train_task(Classification(model, patcher=build_patcher(run)), run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Pre-train a masked autoencoder, or the network that `model.name` says.

    python training_scripts/train_masked.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_masked.py CONFIG.yaml

To try another loss or metric, subclass `MaskedAutoencoding` here and override `forward` or `evaluate`.
"""

import sys

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.tasks import MaskedAutoencoding
from ucf_vit.training.build import build_network, build_patcher
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="masked")
    with start(run) as world:
        task = MaskedAutoencoding(
            build_network(run),
            run.model.loss_fn,
            run.model.norm_pix_loss,
            patcher=build_patcher(run),
            **run.trainer.task_options,
        )
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

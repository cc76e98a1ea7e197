"""Train a diffusion model, or the network that `model.name` says; `ucf-vit sample` makes images with it.

    python training_scripts/train_diffusion.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_diffusion.py CONFIG.yaml

To try another loss or weighting, subclass `Denoising` here and override `forward` or `draw`.
"""

import sys

from ucf_vit.cli.main import guarded
from ucf_vit.config import load
from ucf_vit.tasks import Denoising
from ucf_vit.training.build import build_network, build_patcher, condition_names
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="diffusion")
    with start(run) as world:
        options = run.diffusion
        task = Denoising(
            build_network(run),
            num_time_steps=options.num_time_steps,
            noise_schedule=options.noise_schedule,
            prediction=options.prediction,
            min_snr=options.min_snr,
            conditions=condition_names(run),
            condition_dropout=options.condition_dropout,
            unit_range=None,  # the data decides
            patcher=build_patcher(run),
            **run.trainer.task_options,
        )
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Pre-train a masked autoencoder.

    python training_scripts/train_masked.py CONFIG.yaml [model.depth=6 ...]
    torchrun --nproc-per-node=4 training_scripts/train_masked.py CONFIG.yaml

To try another loss or metric, subclass `MaskedAutoencoding` here and override `forward` or `evaluate`.
"""

import sys

import torch

from ucf_vit.cli.main import guarded
from ucf_vit.config import decoder_options, encoder_options, input_options, load
from ucf_vit.models import MAE
from ucf_vit.tasks import MaskedAutoencoding
from ucf_vit.train.build import build_patcher
from ucf_vit.train.launch import start
from ucf_vit.train.run import train_task


@guarded
def main(path: str, *overrides: str) -> None:
    """Builds network and task, and trains."""
    run = load(path, overrides, task="masked")
    with start(run) as world:
        with torch.device("meta"):  # no memory yet: each process gets the weights it is to hold
            model = MAE(
                input_options(run),
                encoder_options(run),
                decoder_options(run),
                mask_ratio=run.model.mask_ratio,
                class_token=run.model.class_token,
                linear_decoder=run.model.linear_decoder,
            )
        net, patcher = run.model, build_patcher(run)
        task = MaskedAutoencoding(model, net.loss_fn, net.norm_pix_loss, patcher)
        train_task(task, run, world)


if __name__ == "__main__":
    main(*sys.argv[1:])

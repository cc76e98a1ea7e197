"""Accuracy of classifiers of small images on held-out images, each trained with the same budget.

    python benchmarks/classification.py DIRECTORY [--epochs N] [--seeds N] [--out RUNS]

DIRECTORY has a folder of images per class. Of the images, 20 % validate, 20 % test, in equal proportions of
the classes; the checkpoint is chosen on the former, the figures are those of the latter. Compared are ridge
regression on pixels (its strength chosen on the validation images), VIT, timm's VisionTransformer of the same
size in the same training, VIT with a convolutional stem, and that with mixup, cutmix and label smoothing.
Needs timm. Prints a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm.models.vision_transformer as of_timm
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file

import ucf_vit
from ucf_vit.config import from_dict
from ucf_vit.data.read_item import read_sample
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.training.inputs.datasets import build_datasets

SIDE = 64
MIXED = {"label_smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0}
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "VIT": {},
    "timm VisionTransformer": {"model": {"name": f"{__file__}:Timm"}},
    "VIT, convolutional stem": {"input": {"stem": "conv"}},
    "the same, mixup, cutmix, smoothing": {"input": {"stem": "conv"}, "trainer": {"task_options": MIXED}},
}


class Timm(of_timm.VisionTransformer):
    """The network of timm in the place of the project's."""

    def __init__(self, input: InputOptions, encoder: EncoderOptions, num_classes: int) -> None:
        super().__init__(
            img_size=tuple(input.tile_size),
            patch_size=input.patch_size,
            in_chans=input.in_channels,
            num_classes=num_classes,
            embed_dim=encoder.embed_dim,
            depth=encoder.depth,
            num_heads=encoder.num_heads,
        )

    def reset_parameters(self) -> None:
        """Sets its own parameters to 0: the run starts from weights that timm has drawn."""
        for parameter in self.parameters(recurse=False):
            torch.nn.init.zeros_(parameter)


def config_of(directory: Path, out: Path, epochs: int, seed: int, changes: dict[str, dict[str, Any]]) -> dict:
    """Returns the config of a row: the common one, with the changes of the row."""
    classes = sum(one.is_dir() for one in directory.iterdir())
    common: dict[str, dict[str, Any]] = {
        "trainer": {
            "task": "classification",
            "max_epochs": epochs,
            "seed": seed,
            "checkpoint_path": str(out),
            "pictures": False,
            "overwrite": True,
            "validation_epochs": 5,
            "device": "cpu",
        },
        "model": {"embed_dim": 96, "depth": 4, "num_heads": 4, "num_classes": classes},
        "input": {"default_vars": ["red", "green", "blue"], "tile_size": [SIDE, SIDE], "patch_size": 8},
        "optimizer": {"lr": 1e-3, "warmup_steps": 50},
        "data": {
            "dataset": "imagenet",
            "dict_root_dirs": {"images": str(directory)},
            "split": {"validation": 0.2, "test": 0.2},
            "batch_size": 32,
            "num_workers": 0,
        },
        "dataset_options": {"imagenet_resize": {"images": [SIDE, SIDE]}},
    }
    return {section: values | changes.get(section, {}) for section, values in common.items()}


def train(config: dict[str, Any]) -> float:
    """Trains a run; returns the accuracy of its best checkpoint on the test images."""
    run = from_dict(config)
    if run.network.endswith(":Timm"):
        torch.manual_seed(run.trainer.seed)
        network = Timm(
            ucf_vit.config.input_options(run), ucf_vit.config.encoder_options(run), run.num_classes
        )
        start = Path(run.trainer.checkpoint_path).with_name(f"timm_{run.trainer.seed}.safetensors")
        start.parent.mkdir(parents=True, exist_ok=True)
        save_file({f"model.{name}": value for name, value in network.state_dict().items()}, start)
        config["trainer"]["start_from"] = str(start)
    ucf_vit.train(config, progress=False)
    (metrics,) = ucf_vit.evaluate(run.trainer.checkpoint_path, split="test").metrics.values()
    return metrics["top1"] or math.nan


def ridge(config: dict[str, Any]) -> float:
    """Returns the accuracy of linear regression of one-hot classes on pixels, with an L2 penalty."""
    run, scratch = from_dict(config), Scratch()
    parts = [pixels(build_datasets(run, scratch, split)) for split in ("training", "validation", "test")]
    (x, y), *held_out = [(values - parts[0][0].mean(axis=0), label) for values, label in parts]
    values, vectors = np.linalg.eigh(x @ x.T)
    one_hot = np.eye(run.num_classes)[y]
    means = one_hot.mean(axis=0)
    scores = []
    for strength in np.geomspace(1e-3, 1e6, 28):
        weights = x.T @ (vectors @ ((vectors.T @ (one_hot - means)) / (values + strength)[:, None]))
        found = [(part @ weights + means).argmax(axis=1) == label for part, label in held_out]
        scores.append([float(right.mean()) for right in found])
    return max(scores)[1]


def pixels(datasets: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns pixels `[N, P]` in 0..1 and class numbers `[N]` of all items."""
    samples = [(read_sample(one.source, item), item) for one in datasets for item in one.items]
    values = np.stack([np.asarray(sample.image, np.float64).ravel() / 255 for sample, _ in samples])
    return values, np.array([item.class_index for _, item in samples])


def main(directory: Path, epochs: int = 60, seeds: int = 2, out: Path = Path("runs/classification")) -> None:
    """Prints a row per classifier: parameters and accuracy on the test images, by seed."""
    print(f"| classifier | parameters | test accuracy, seeds 0 to {seeds - 1} | mean |\n|---|---|---|---|")
    print(
        f"| ridge regression on pixels | | | {ridge(config_of(directory, out, 1, 0, {})):.3f} |", flush=True
    )
    for name, changes in ROWS.items():
        place = out / name.replace(" ", "_").replace(",", "")
        found = [
            train(config_of(directory, place / str(seed), epochs, seed, changes)) for seed in range(seeds)
        ]
        size = sum(p.numel() for p in ucf_vit.load(place / "0").network.parameters())
        listed = ", ".join(f"{one:.3f}" for one in found)
        print(f"| {name} | {size:,} | {listed} | {np.mean(found):.3f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)

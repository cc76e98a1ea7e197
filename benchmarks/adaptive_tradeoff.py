"""Cost and gain of adaptive tokens: UNETR on uniform patches beside SAP and UNETR on adaptive ones.

    python benchmarks/adaptive_tradeoff.py concrete DIRECTORY [--out tradeoff]
    python benchmarks/adaptive_tradeoff.py hippocampus DIRECTORY

DIRECTORY holds imagesTr and labelsTr. All networks are trained from scratch for the same number of steps with
the same settings: UNETR on uniform patches of 16, 8 and 4 voxels a side, UNETR on adaptive tokens of 8 and
SAP on adaptive tokens of 4 voxels a side, at token counts between those. Dice is the mean over classes of
whole held-out volumes after the last step; seconds per volume are process time of the sliding-window
prediction on one thread. Cases that are done are not run again. Writes OUT/DATASET.json and OUT/DATASET.png
and prints a table.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import typer

from ucf_vit.config import from_dict
from ucf_vit.data.batch import Batch
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.drawing.style import new_figure, render_png
from ucf_vit.tasks import Segmentation, dice
from ucf_vit.tasks.segmentation import voxel_label
from ucf_vit.training.build import build_task
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task

Config = dict[str, dict[str, Any]]
Result = dict[str, float]

DATASETS: dict[str, Config] = {
    "concrete": {
        "model": {"tile_size": [32, 32, 32], "num_classes": 4},
        "data": {},
    },
    "hippocampus": {
        "model": {"tile_size": [32, 48, 32], "num_classes": 3},
        "data": {"keep_orientation": True},
    },
}
METHODS: dict[str, Config] = {
    "UNETR, uniform patches": {"trainer": {"task": "segmentation"}, "model": {}},
    "UNETR, adaptive tokens": {"trainer": {"task": "segmentation"}, "model": {"adaptive_patching": True}},
    "SAP": {"trainer": {"task": "token_segmentation"}, "model": {"adaptive_patching": True}},
}
CASES: dict[str, list[tuple[str, int, int]]] = {
    dataset: [
        *(("UNETR, uniform patches", patch, tokens) for patch, tokens in uniform.items()),
        *(("UNETR, adaptive tokens", 8, tokens) for tokens in eight),
        *(("SAP", 4, tokens) for tokens in four),
    ]
    for dataset, uniform, eight, four in (
        ("concrete", {16: 8, 8: 64, 4: 512}, (15, 36, 50), (36, 120, 302)),
        ("hippocampus", {16: 12, 8: 96, 4: 768}, (26, 54, 82), (54, 180, 453)),
    )
}
"""Method, side of a patch in voxels, tokens per tile."""


def case_config(dataset: str, root: Path, case: tuple[str, int, int], steps: int, out: Path) -> Config:
    """A whole run."""
    method, patch_size, tokens = case
    return {
        "trainer": {
            "max_epochs": 1000,
            "max_steps": steps,
            "checkpoint_path": str(out),
            "overwrite": True,
            "validation_epochs": 0,
            "device": "cpu",
            "pictures": False,
            **METHODS[method]["trainer"],
        },
        "model": {
            "lr": 2e-3,
            "warmup_steps": steps // 10,
            "default_vars": ["image"],
            "patch_size": patch_size,
            "fixed_length": tokens,
            "embed_dim": 128,
            "depth": 4,
            "num_heads": 4,
            "feature_size": 8,
            **DATASETS[dataset]["model"],
            **METHODS[method]["model"],
        },
        "data": {
            "dataset": "basic_ct",
            "dict_root_dirs": {dataset: str(root)},
            "dict_end_idx": {dataset: 0.8},
            "dict_normalization": {dataset: {"kind": "zscore"}},
            "batch_size": 4,
            "num_workers": 0,
            **DATASETS[dataset]["data"],
        },
    }


def run_case(config: Config) -> Result:
    """Train, then predict every held-out volume: Dice, and process seconds per step and per volume."""
    run = from_dict(config)
    before = time.process_time()
    with start(run) as world:
        task = build_task(run)
        if not train_task(task, run, world):
            raise SystemExit("stopped by a signal; start again to go on with this case")
    trained = time.process_time() - before
    if not isinstance(task, Segmentation):
        raise TypeError(f"task {run.task} does not segment")
    score, seconds = predict_all(task.eval(), volumes(build_datasets(run, Scratch(), "validation")))
    return {
        "dice": score,
        "seconds_per_step": trained / config["trainer"]["max_steps"],
        "seconds_per_volume": seconds,
    }


@torch.inference_mode()
def predict_all(task: Segmentation, batches: Iterable[Batch]) -> tuple[float, float]:
    """Dice by the definition of every evaluation, and process seconds per volume."""
    totals, seconds = dice.empty_totals(task.num_classes), []
    for batch in batches:
        before = time.process_time()
        predicted = task.predict_whole(batch.image).argmax(dim=1)
        seconds.append(time.process_time() - before)
        totals += dice.totals_of_labels(predicted, voxel_label(batch), task.num_classes)
    return dice.means(totals)["dice"], statistics.mean(seconds)


def draw(results: dict[str, Result], path: Path) -> None:
    """Dice by tokens per tile, and by seconds per volume."""
    with new_figure(8.0, 3.2) as figure:
        tokens, seconds = figure.subplots(1, 2, sharey=True)
        for method in METHODS:
            cases = sorted(
                (case["tokens"], case["seconds_per_volume"], case["dice"])
                for name, case in results.items()
                if name.startswith(method)
            )
            tokens.plot([case[0] for case in cases], [case[2] for case in cases], marker="o", label=method)
            seconds.plot([case[1] for case in cases], [case[2] for case in cases], marker="o")
        tokens.set_xscale("log", base=2)
        tokens.xaxis.set_major_formatter("{x:g}")
        tokens.set(xlabel="tokens per tile", ylabel="mean Dice, held-out volumes")
        seconds.set(xlabel="seconds per volume, one core", xlim=(0, None))
        tokens.legend()
        path.write_bytes(render_png(figure))


def main(dataset: str, root: Path, out: Path = Path("tradeoff"), steps: int = 300, seed: int = 0) -> None:
    """Run what is not done yet, and print a line per case."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    store = out / f"{dataset}.json"
    results: dict[str, Result] = json.loads(store.read_text()) if store.exists() else {}
    for case in CASES[dataset]:
        method, patch_size, tokens = case
        name = f"{method}, {patch_size}³, {tokens}"
        if name not in results:
            config = case_config(dataset, root, case, steps, out / f"{dataset}_run")
            config["trainer"]["seed"] = seed
            results[name] = {"tokens": tokens, "steps": steps, **run_case(config)}
            store.write_text(json.dumps(results, indent=1))
    print(f"{'':32} {'tokens':>7} {'Dice':>7} {'s/step':>7} {'s/volume':>9}")
    for name, result in results.items():
        figures = (
            f"{result['dice']:7.3f} {result['seconds_per_step']:7.3f} {result['seconds_per_volume']:9.3f}"
        )
        print(f"{name:32} {result['tokens']:7.0f} {figures}")
    draw(results, store.with_suffix(".png"))


if __name__ == "__main__":
    typer.run(main)

"""Tiny runs, in this process or in others, for the tests of the whole."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import yaml

from ports import free_port
from ucf_vit.config.legacy_layout import MOVED
from ucf_vit.training.hooks.jsonl import read_metrics

Rank = Callable[..., None]
"""Function that one process runs with its environment, the config and the overrides."""

NETWORK = {
    "default_vars": ["ct"],
    "tile_size": [16, 16, 16],
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
    "lr": 1e-3,
    "warmup_steps": 2,
}
"""Keys of a network, each of which `write_config` puts in its section."""
TASKS: dict[str, dict[str, Any]] = {
    "masked": {
        "decoder_embed_dim": 24,
        "decoder_depth": 1,
        "decoder_num_heads": 2,
        "mask_ratio": 0.5,
    },
    "segmentation": {"feature_size": 4, "num_classes": 4},
    "token_segmentation": {
        "feature_size": 4,
        "num_classes": 4,
        "adaptive_patching": True,
        "fixed_length": 15,
    },
    "diffusion": {
        "decoder_embed_dim": 24,
        "decoder_depth": 1,
        "decoder_num_heads": 2,
        "num_time_steps": 50,
    },
    "classification": {"num_classes": 3, "default_vars": ["red", "green", "blue"], "tile_size": [16, 16]},
}


def write_config(path: Path, task: str, root: Path, /, **sections: dict[str, Any]) -> Path:
    """A tiny run of `task` on the data set in `root`; its output goes beside the file, to `out`.

    `model` may have keys of the sections `input`, `adaptive`, `variables`, `diffusion` and `optimizer` too.
    """
    images = task == "classification"
    config: dict[str, dict[str, Any]] = {
        "trainer": {
            "task": task,
            "max_epochs": 2,
            "checkpoint_path": str(path.parent / "out"),
            "device": "cpu",
            "log_steps": 1,
            "pictures": False,
        },
        "parallelism": {},
        "model": {**NETWORK, **TASKS[task]},
        "data": {
            "dataset": "imagenet" if images else "basic_ct",
            "dict_root_dirs": {"tiny": str(root)},
            "dict_end_idx": {"tiny": 0.75},
            "batch_size": 4,
            "num_workers": 0,
        },
    }
    if images:
        config["dataset_options"] = {"imagenet_resize": {"tiny": [16, 16]}}
    for name, values in sections.items():
        config.setdefault(name, {}).update(values)
    model = config.pop("model")
    for name, value in model.items():
        config.setdefault(MOVED.get(name, "model"), {}).setdefault(name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def train(config: Path, *overrides: str) -> None:
    """Trains in this process, as `ucf-vit train` does."""
    from ucf_vit.config import load
    from ucf_vit.training.build import build_task
    from ucf_vit.training.launch import start
    from ucf_vit.training.run import train_task

    torch.set_num_threads(1)
    run = load(config, overrides)
    with start(run) as world:
        train_task(build_task(run), run, world)


def losses(directory: Path, event: str = "step", key: str = "loss") -> dict[int, float]:
    """The logged metric by step."""
    lines = read_metrics(directory / "metrics.jsonl")
    return {line["step"]: line[key] for line in lines if line["event"] == event}


def on_ranks(
    forkserver: BaseContext, ranks: int, config: Path, *overrides: str, target: Rank | None = None
) -> list[int | None]:
    """Train, or call `target`, on `ranks` processes with gloo; their exit codes."""
    port = free_port()
    processes = [
        start_rank(forkserver, rank, ranks, port, config, *overrides, target=target) for rank in range(ranks)
    ]
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def start_rank(
    forkserver: BaseContext,
    rank: int,
    ranks: int,
    port: int,
    config: Path,
    *overrides: str,
    target: Rank | None = None,
) -> BaseProcess:
    """Start one rank of a run in a process of its own."""
    environment = {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    process = forkserver.Process(target=target or _train_rank, args=(environment, config, *overrides))  # type: ignore[attr-defined]
    process.start()
    return process


def _train_rank(environment: dict[str, str], config: Path, *overrides: str) -> None:
    os.environ |= environment
    train(config, *overrides)


def hold_after(config: Path, step: int, *overrides: str) -> None:
    """Train; after so many steps make a file `held` beside the config and sleep, to be killed."""
    from ucf_vit.training import loop

    take, numbers = loop.train_step, itertools.count(1)

    def held(*arguments: Any, **options: Any) -> Any:
        if next(numbers) > step:
            (config.parent / "held").touch()
            time.sleep(600)
        return take(*arguments, **options)

    loop.train_step = held  # type: ignore[assignment]
    train(config, *overrides)


def in_process(forkserver: BaseContext, config: Path, *overrides: str) -> multiprocessing.Process:
    """Start a run in another process, so that it can be killed."""
    process = forkserver.Process(target=train, args=(config, *overrides))  # type: ignore[attr-defined]
    process.start()
    return process

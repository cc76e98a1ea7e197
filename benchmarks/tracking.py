"""Step time with the hook `mlflow` and a server that is gone, against the same training without the hook.

    python benchmarks/tracking.py              6 rounds of 60 steps each (3 minutes)
    python benchmarks/tracking.py --rounds 1

Trainings with and without the hook take turns, in one process each time, and every step is logged, which is
the worst case. The server is one that nobody runs, or with --hang one that accepts connections and never
answers. The first steps of a training are left out: the process beside it starts then. CPU time is that of
the training only, and depends less on other work of the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
import yaml

from ucf_vit.config import load
from ucf_vit.synthetic import write_dataset
from ucf_vit.training.build import build_task
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task

Seconds = tuple[float, float]
"""Wall and CPU time."""
SKIPPED = 10
"""First steps of each training that are not counted."""


class Clock(Hook):
    """Notes when each step was logged, after all other hooks."""

    last = True

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Notes the time."""
        self.times.append((time.perf_counter(), time.process_time()))

    def seconds(self) -> list[Seconds]:
        """Returns wall and CPU time between steps."""
        kept = self.times[SKIPPED:]
        return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(kept)]


def config_file(folder: Path, steps: int) -> Path:
    """A masked autoencoder whose step takes about a tenth of a second on one thread."""
    for _ in write_dataset(folder / "data", number=4, size=(64, 64, 64), seed=0):
        pass
    config = {
        "trainer": {
            "task": "masked",
            "max_epochs": 1000,
            "max_steps": steps + SKIPPED,
            "validation_epochs": 0,
            "log_steps": 1,
            "pictures": False,
            "overwrite": True,
            "device": "cpu",
        },
        "model": {"embed_dim": 192, "depth": 6, "num_heads": 6, "decoder_embed_dim": 96, "mask_ratio": 0.5},
        "input": {"default_vars": ["ct"], "tile_size": [32, 32, 32], "patch_size": 8},
        "data": {
            "dataset": "basic_ct",
            "dict_root_dirs": {"concrete": str(folder / "data")},
            "batch_size": 16,
            "num_workers": 0,
        },
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def train(config: Path, *overrides: str) -> list[Seconds]:
    """Wall and CPU time of each step."""
    run, clock = load(config, overrides), Clock()
    with contextlib.redirect_stdout(None), start(run) as world:
        train_task(build_task(run), run, world, [clock])
    return clock.seconds()


@contextlib.contextmanager
def no_server(hang: bool) -> Iterator[str]:
    """The URL of a server that is gone, or that hangs."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if hang:
            port.listen(100)
        yield f"http://127.0.0.1:{port.getsockname()[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--hang", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, no_server(options.hang) as url:
        config = config_file(Path(name), options.steps)
        without: list[Seconds] = []
        tracked: list[Seconds] = []
        hook = ["trainer.hooks=[mlflow]", f"tracking.store={url}", "tracking.wait=0"]
        for round_ in range(options.rounds):
            pair = [(without, []), (tracked, hook)]
            for times, overrides in pair if round_ % 2 == 0 else reversed(pair):
                times += train(config, f"trainer.checkpoint_path={name}/run", *overrides)
        print(f"load {os.getloadavg()[0]:.1f}, {len(without)} steps each, one thread")
        for place, kind in enumerate(("wall", "CPU")):
            a, b = (median(one[place] for one in times) for times in (without, tracked))
            print(f"{kind}: median without {1e3 * a:.2f} ms, with {1e3 * b:.2f} ms, ratio {b / a:.4f}")


if __name__ == "__main__":
    main()

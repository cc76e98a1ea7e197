"""A training run on the GPU beside the same run on the CPU: the losses, step by step."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.device.measure import is_short, say

from ucf_vit.training.hooks.jsonl import METRICS, read_metrics

CONFIG = Path(__file__).parents[2] / "configs" / "basic_ct" / "mae" / "demo.yaml"
PATIENCE = 115
"""Seconds after which runs are stopped and compared up to where they are."""
FEW = 20
"""How many steps a run has in which it should not have drifted apart."""
Losses = dict[int, float]


def main() -> None:
    """Train the config on both, and on the GPU in bfloat16 too; print what they reach and how they differ."""
    short = is_short()
    other = "cpu" if short else "cuda"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = ("3", "32") if short else ("10", "64")
        command(
            "synth", "basic_ct", str(root / "data"), "--number", size[0], "--size", size[1], "--seed", "0"
        )
        precise = "trainer.data_type=float32"
        runs = {
            "CPU": start(root / "cpu", short, "trainer.device=cpu", precise),
            f"{other}, float32": start(root / "gpu", short, f"trainer.device={other}", precise),
            f"{other}, bfloat16": start(
                root / "bf16", short, f"trainer.device={other}", "trainer.data_type=bfloat16"
            ),
        }
        deadline = time.monotonic() + (PATIENCE if not short else 4 * PATIENCE)
        for process in runs.values():
            finish(process, deadline)
        found = [losses(root / part) for part in ("cpu", "gpu", "bf16")]
    for run, one in zip(runs, found, strict=True):
        show(run, one, found[0])


def show(run: str, found: Losses, expected: Losses) -> None:
    """Print how far a run came, and how it differs from that on the CPU, if both came anywhere."""
    common = sorted(found.keys() & expected.keys())
    if not common:
        say(run, steps=len(found))
        return
    first = [abs(found[step] / expected[step] - 1) for step in common[:FEW]]
    last = common[-FEW:]
    say(
        run,
        steps=len(found),
        first_loss=found[common[0]],
        last_loss=statistics.mean(found[step] for step in last),
        cpu_there=statistics.mean(expected[step] for step in last),
        difference_of_first_steps=max(first),
    )


def start(output: Path, short: bool, *overrides: str) -> subprocess.Popen[bytes]:
    """Start a run of the config on the data beside its `output`."""
    values = [
        f"trainer.checkpoint_path={output}",
        f"data.dict_root_dirs={{concrete: {output.parent / 'data'}}}",
        "trainer.log_steps=1",
        "trainer.pictures=false",
        *(["trainer.max_epochs=2"] if short else []),
        *overrides,
    ]
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    return subprocess.Popen(
        [sys.executable, "-m", "ucf_vit", "train", str(CONFIG), *values],
        stdout=sys.stderr,
        env=os.environ | {"OMP_NUM_THREADS": threads},
    )


def finish(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for a run; stop it at the deadline. SystemExit where it failed."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    if process.poll() is None:
        process.kill()
        process.wait()
    elif process.returncode:
        raise SystemExit(f"a run ended with {process.returncode}")


def losses(output: Path) -> Losses:
    """The loss of each step of a run."""
    return {line["step"]: line["loss"] for line in read_metrics(output / METRICS) if line["event"] == "step"}


def command(*arguments: str) -> None:
    """Call `ucf-vit`."""
    subprocess.run([sys.executable, "-m", "ucf_vit", *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()

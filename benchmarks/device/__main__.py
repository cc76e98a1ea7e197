"""Runs the parts one after the other, the most telling first, each for as long as it may take.

Each part is a process that prints JSON lines. Whatever happens to it, or to this process, what was printed
is in the files. Nothing but the standard library is needed here, so that a part that lacks a package, or a
GPU that hangs, costs that part only.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks.device.part import run_part
from benchmarks.device.results import Results

PARTS = {
    "machine": 25,
    "tests": 90,
    "vit": 50,
    "mae": 40,
    "unetr": 50,
    "adaptive": 30,
    "memory": 45,
    "training": 140,
}
"""Modules of this package, and how many seconds each may take; 470 together."""
SHORT = 300
"""Seconds of each part in short form."""


def main() -> int:
    """Run the parts that are asked for; 0 if all came to their end."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/device.sh", description="Measures a machine with one GPU."
    )
    parser.add_argument("--short", action="store_true", help="tiny sizes on the CPU; implied without a GPU")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--output", type=Path, default=Path("device-results"), help="directory to write to")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    short = given.short or not has_gpu()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results(given.output)
    ended = []
    for name in names:
        command = [sys.executable, "-u", "-m", f"benchmarks.device.{name}", *["--short"] * short]
        ended.append(run_part(name, command, SHORT if short else PARTS[name], results))
    print(f"\n{results.table}")
    return 0 if all(ended) else 1


def has_gpu() -> bool:
    """Whether torch finds a GPU; False where there is no torch, which the first part then says."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


if __name__ == "__main__":
    start = time.monotonic()
    status = main()
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(status)

"""Time and memory of a plan, from inventories of 3 data sets to the plan file and one rank's part of it.

    python benchmarks/planning.py           10 million files, 75,264 ranks (a minute)
    python benchmarks/planning.py --quick   10,000 files, 96 ranks (seconds)

The inventories are made first and not measured. The plan is made in a process of its own, whose peak memory
is told; memory maps count with the pages that were touched.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ucf_vit.planning.cost import Workload, count_tiles
from ucf_vit.planning.inventory import Inventory
from ucf_vit.planning.make_plan import make_plan
from ucf_vit.planning.plan import Plan

FULL, QUICK = (10_000_000, 75_264), (10_000, 96)
SHARES = {"large": 0.7, "middle": 0.25, "small": 0.05}
TILE = (64, 64, 64)


def measure(files: int, ranks: int) -> dict[str, float]:
    """Seconds of each step, GiB, and how even the plan is."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for name, share in SHARES.items():
            write(Path(folder) / f"{name}.npz", int(files * share), rng)
        command = [sys.executable, __file__, "--plan", folder, "--ranks", str(ranks)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))


def write(path: Path, files: int, rng: np.random.Generator) -> None:
    """An inventory of `files` volumes of 64 to 511 voxels a side."""
    names = np.frombuffer(b"".join(b"patient_%010d_scan" % n for n in range(files)), np.uint8)
    sides = rng.integers(64, 512, (files, 3))
    Inventory(
        names=names,
        ends=np.arange(1, files + 1) * (len(names) // files),
        shapes=np.concatenate([np.ones((files, 1), np.int64), sides], axis=1),
        stamps=np.ones((files, 4), np.int64),
    ).save(path)


def plan(folder: Path, ranks: int) -> dict[str, float]:
    """The measured part."""
    begin = time.perf_counter()
    found = {name: Inventory.load(folder / f"{name}.npz") for name in SHARES}
    digests = {name: one.digest for name, one in found.items()}
    works = [Workload(name, count_tiles(one.shapes[:, 1:], TILE, 0.0, True)) for name, one in found.items()]
    read = time.perf_counter()
    made = make_plan(works, ranks, 2, digests=digests)
    planned = time.perf_counter()
    made.save(folder / "plan.npz")
    saved = time.perf_counter()
    own = list(Plan.load(folder / "plan.npz").tiles_of_rank(ranks // 2))
    shared = time.perf_counter()
    unit = 2**20 if sys.platform != "darwin" else 2**30
    return {
        "files": sum(map(len, found.values())),
        "tiles": sum(work.total for work in works),
        "ranks": ranks,
        "read inventories, s": read - begin,
        "plan, s": planned - read,
        "write, s": saved - planned,
        "one rank's part, s": shared - saved,
        "files of that rank": len(own),
        "together, s": shared - begin,
        "peak memory, GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "plan file, MiB": (folder / "plan.npz").stat().st_size / 2**20,
        "largest load / mean": made.imbalance,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 files, seconds")
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plan is not None:
        print(json.dumps(plan(given.plan, given.ranks)))
    else:
        for what, value in measure(*(QUICK if given.quick else FULL)).items():
            print(f"{what:22} {value:,.5g}" if isinstance(value, float) else f"{what:22} {value:,}")

"""Runs an exported program where only a few packages can be imported."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType


def run_isolated(program: Path, *arguments: str | Path, packages: list[ModuleType]) -> str:
    """Returns the output of a program, run by a Python that finds only `packages` and those they need."""
    site = program.parent / "site"
    site.mkdir(exist_ok=True)
    for module in packages:
        where = Path(module.__file__ or "").parents[1]
        name = module.__name__
        patterns = [f"{name}*", "packaging", "typing_ext*", *(["pillow*"] if name == "PIL" else [])]
        for found in {path for pattern in patterns for path in where.glob(pattern)}:
            if not (site / found.name).exists():
                (site / found.name).symlink_to(found)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

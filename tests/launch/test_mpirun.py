"""Two processes that a real mpirun started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import runs

pytestmark = pytest.mark.deep


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun (apt-get install openmpi-bin)")
def test_mpirun_trains_as_one_process_does(on_two: Path, uninterrupted: dict[int, float]) -> None:
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    said = subprocess.run(["mpirun", "--version"], env=environment, capture_output=True, text=True).stdout
    crowded = ["--oversubscribe", "--bind-to", "none"] if "Open MPI" in said else []
    command = ["mpirun", *crowded, "-n", "2", sys.executable, "-m", "ucf_vit", "train", str(on_two)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert runs.losses(on_two.parent / "out") == pytest.approx(uninterrupted, rel=1e-5)

"""The benchmark of file formats in its short form."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deep


def test_benchmark() -> None:
    pytest.importorskip("zarr", reason="needs the extra zarr")
    command = [sys.executable, Path(__file__).parents[3] / "benchmarks/formats.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "prepared" in done.stdout

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deep

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "parallel.py"


def test_the_short_form_prints_a_line_per_layout() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    header, _, *lines = done.stdout.splitlines()
    assert header == "2 processes, cpu, global batch 2"
    found = {line[:16].strip(): [float(x) for x in line[16:].split()[:3]] for line in lines}
    assert list(found) == ["plain DDP", "plain FSDP2", "ddp", "fsdp", "tensor", "seq"]
    assert found["fsdp"][2] < 0.6 * found["ddp"][2]

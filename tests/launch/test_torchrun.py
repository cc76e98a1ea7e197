"""torchrun starts a killed worker again, and training goes on from the checkpoint."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runs

pytestmark = pytest.mark.deep

AGAIN = ["trainer.resume_from_checkpoint=true", "trainer.checkpoint_steps=20"]


def children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc (Linux) to find the workers")
def test_a_killed_worker_comes_back_from_the_checkpoint(
    on_two: Path, uninterrupted: dict[int, float]
) -> None:
    out, log = on_two.parent / "out", on_two.parent / "torchrun.log"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    command = [sys.executable, *launcher, "-m", "ucf_vit", "train", str(on_two), *AGAIN]
    with log.open("w") as output:
        torchrun = subprocess.Popen(command, env=dict(os.environ), stdout=output, stderr=output)
    try:
        while not (out / "metrics.jsonl").exists() or max(runs.losses(out), default=0) <= 25:
            assert torchrun.poll() is None, log.read_text()
            time.sleep(0.02)
        os.kill(children(torchrun.pid)[-1], signal.SIGKILL)
        assert torchrun.wait(timeout=300) == 0, log.read_text()[:200000]
    finally:
        torchrun.terminate()
        torchrun.wait()
    said = (out / "log.txt").read_text()
    step = int(said.partition("resumed from ")[2].partition(": step ")[2].split()[0])
    assert 20 <= step < len(uninterrupted)
    assert runs.losses(out) == pytest.approx(uninterrupted, rel=1e-5)

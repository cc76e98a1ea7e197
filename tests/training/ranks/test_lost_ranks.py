"""A rank that dies or hangs: the others end, and name it."""

import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

import runs
from ports import free_port

pytestmark = pytest.mark.deep

TIMEOUT = 6
LONG = {"max_epochs": 10_000, "validation_epochs": 0, "log_steps": 5}
MODES = {"simple": {}, "fsdp": {"mode": "fsdp", "simple_ddp_size": 1, "fsdp_size": 2}}


def _train(environment: dict[str, str], config: Path, *overrides: str) -> None:
    """As from the command line, with standard error in a file."""
    from ucf_vit.cli.main import guarded

    os.environ |= environment
    said = os.open(config.parent / f"stderr{environment['RANK']}", os.O_CREAT | os.O_WRONLY)
    os.dup2(said, 2)
    guarded(lambda: runs.train(config, *overrides))()


@pytest.mark.parametrize(
    ("mode", "victim", "number"),
    [
        ("simple", 1, signal.SIGKILL),
        ("fsdp", 0, signal.SIGKILL),
        ("simple", 0, signal.SIGSTOP),
        ("fsdp", 1, signal.SIGSTOP),
    ],
)
def test_a_lost_rank_is_named_with_its_last_step(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, mode: str, victim: int, number: signal.Signals
) -> None:
    said, code = _lose(
        tmp_path,
        concrete,
        forkserver,
        MODES[mode],
        victim,
        lambda process: os.kill(process, number),
    )
    assert code == 1
    assert f"error: [rank {1 - victim}] rank {victim} ({socket.gethostname()}) was last seen at step" in said
    step = int(said.partition("last seen at step ")[2].split()[0])
    assert step >= 5


def _lose(
    tmp_path: Path,
    data: Path,
    forkserver: BaseContext,
    parallelism: dict[str, object],
    victim: int,
    strike: Callable[[int], None],
) -> tuple[str, int | None]:
    """Returns the output of the surviving rank of two, and its exit code."""
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        data,
        trainer=LONG,
        parallelism=parallelism | {"timeout": TIMEOUT},
        data={"batch_size": 2},
    )
    port = free_port()
    processes = [runs.start_rank(forkserver, rank, 2, port, config, target=_train) for rank in range(2)]
    try:
        metrics = tmp_path / "out/metrics.jsonl"
        while not metrics.exists() or max(runs.losses(tmp_path / "out"), default=0) < 10:
            assert all(process.is_alive() for process in processes), _said(tmp_path)
            time.sleep(0.05)
        time.sleep(2 * TIMEOUT / 10)  # a sign or two
        assert processes[victim].pid
        strike(processes[victim].pid)
        processes[1 - victim].join(50 * TIMEOUT)
        return (tmp_path / f"stderr{1 - victim}").read_text(), processes[1 - victim].exitcode
    finally:
        for process in processes:
            process.kill()
            process.join()


SLEEPER = """
import os, time
from ucf_vit.data.sources import BasicCT

class Sleeper(BasicCT):
    count = 0

    def read(self, *arguments, **options):
        Sleeper.count += 1
        if os.environ["RANK"] == "1" and Sleeper.count > 20:
            time.sleep(600)
        return super().read(*arguments, **options)
"""


def test_a_rank_that_lives_but_does_not_go_on_is_named(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        concrete,
        trainer=LONG,
        parallelism={"timeout": TIMEOUT},
        data={"batch_size": 2, "dataset": f"{tmp_path / 'sleeper.py'}:Sleeper"},
    )
    assert runs.on_ranks(forkserver, 2, config, target=_train) == [1, 1]
    behind = f"rank 1 ({socket.gethostname()}) has not come further than step "
    for rank in range(2):
        said = (tmp_path / f"stderr{rank}").read_text()
        assert said.startswith(f"error: [rank {rank}] {behind}")
        assert f" (done) for {TIMEOUT} s, others have" in said


def _said(directory: Path) -> str:
    return "\n".join(path.read_text() for path in directory.glob("stderr*"))

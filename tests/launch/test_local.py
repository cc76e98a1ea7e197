"""`ucf-vit train --nproc`: local processes that are signalled and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

import runs
from ucf_vit import checkpoint
from ucf_vit.training.launch import local

RANK = "import os, signal, sys, time; rank = int(os.environ['RANK'])\n"
POLITE = "signal.signal(signal.{0}, lambda *_: sys.exit({1})); open(f'{2}/{{rank}}', 'w'); time.sleep(600)"
"""Ready for a signal as soon as it has made a file."""


def run(code: str, processes: int = 3) -> int:
    return local.run_together([sys.executable, "-c", RANK + code], processes, os.environ)


def test_all_that_end_well_end_well() -> None:
    assert run("assert os.environ['LOCAL_RANK'] == str(rank) and os.environ['WORLD_SIZE'] == '3'") == 0


FIRST_TO_FAIL = """
if rank == 1:
    open('{0}', 'w').write(str(os.getpid()))
    sys.exit(2)
while True:
    try:
        os.kill(int(open('{0}').read() or os.getpid()), 0)
    except FileNotFoundError:
        pass
    except ProcessLookupError:
        break
    time.sleep(0.01)
"""
"""Rank 1 fails; the others wait until that was noticed, whoever was started first."""


def test_the_status_is_that_of_the_first_to_fail_and_the_others_have_time(
    tmp_path: Path,
) -> None:
    failing = FIRST_TO_FAIL.format(tmp_path / "1")
    end = f"open({str(tmp_path)!r} + f'/{{rank}}', 'w').write('named it')"
    assert run(f"{failing}\ntime.sleep(0.5); {end}; sys.exit(1)") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2"}


def test_one_that_was_killed_is_named_and_one_that_stays_is_ended(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE", 0.2)
    began = time.monotonic()
    assert run("if rank == 2: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(600)") == 128 + 9
    assert time.monotonic() - began < 300
    assert capfd.readouterr().err == "error: rank 2 of 3 was ended by SIGKILL\n"


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("status", [0, 3])
def test_a_signal_goes_on_to_all(tmp_path: Path, number: signal.Signals, status: int) -> None:
    def send() -> None:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 3)
        os.kill(os.getpid(), number)

    former = signal.getsignal(number)
    sender = Thread(target=send)
    sender.start()
    assert run(POLITE.format(number.name, status, tmp_path)) == status
    sender.join()
    assert signal.getsignal(number) is former


@pytest.mark.deep
@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_ranks_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    rank = POLITE.format("SIGTERM", f"os.unlink(f'{tmp_path}/{{rank}}')", tmp_path)
    start = (
        "import sys, os; from ucf_vit.training.launch import local; "
        f"local.run_together([sys.executable, '-c', {RANK + rank!r}], 2, os.environ)"
    )
    with subprocess.Popen([sys.executable, "-c", start]) as process:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        process.kill()
    wait_for(lambda: not list(tmp_path.iterdir()))


def wait_for(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


@pytest.mark.deep
def test_a_signal_saves_and_ends_well_without_more_words(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": 10_000}, data={"batch_size": 2}
    )
    command = [sys.executable, "-m", "ucf_vit", "train", str(config), "--nproc", "2"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        while max(runs.losses(tmp_path / "out"), default=0) < 2:
            assert process.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
    finally:
        process.terminate()
    lines = (tmp_path / "said").read_text().splitlines()
    assert all(line[:2] == "20" for line in lines), lines
    assert "asked to stop by SIGTERM: saved at step" in lines[-1]
    newest, _ = checkpoint.load_newest(tmp_path / "out", "last")
    assert newest is not None
    assert newest.state["step"] == max(runs.losses(tmp_path / "out"))

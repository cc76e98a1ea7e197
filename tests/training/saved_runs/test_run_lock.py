"""One training at a time in a directory; those that are gone do not count, wherever they were."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch

import runs
from ucf_vit.config import load
from ucf_vit.core.errors import UserError
from ucf_vit.evaluation import EvaluationRequest, evaluate_task
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.build import build_task
from ucf_vit.training.launch import start
from ucf_vit.training.run_directory import lock as locking
from ucf_vit.training.run_directory import locked
from ucf_vit.training.run_directory.holder import Holder
from ucf_vit.training.run_directory.lock import NAME, Lock

ALONE = World(0, 1, torch.device("cpu"))
RESUME = "trainer.resume_from_checkpoint=true"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come ten times as often, and are waited for as much less."""
    monkeypatch.setattr(locking, "PERIOD", 0.1)
    monkeypatch.setattr(locking, "PATIENCE", 1.5)


@contextmanager
def held(forkserver: BaseContext, directory: Path) -> Iterator[int]:
    """The lock of `directory` in another process."""
    ready = forkserver.Event()
    process = forkserver.Process(target=hold, args=(directory, ready))  # type: ignore[attr-defined]
    process.start()
    try:
        assert ready.wait(300)
        yield process.pid
    finally:
        process.kill()
        process.join()


def hold(directory: Path, ready: Event) -> None:
    locking.PERIOD = 0.1
    with locked(directory, ALONE):
        ready.set()
        time.sleep(600)


def pretend(directory: Path, **changes: object) -> Holder:
    """Let the lock of `directory` say something else of its holder."""
    holder = Holder.read(directory / NAME)
    assert holder is not None
    changed = dataclasses.replace(holder, **changes)  # type: ignore[arg-type]
    changed.write(directory / NAME)
    return changed


def hidden(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.name.startswith(".")}


def test_the_second_is_told_who_is_there_and_the_first_goes_on(
    tmp_path: Path, forkserver: BaseContext
) -> None:
    with held(forkserver, tmp_path) as pid:
        for _ in range(2):
            with pytest.raises(
                UserError, match=rf"is in use: process {pid} on \S+, since 20\d\d-.* trains there"
            ):
                Lock(tmp_path).acquire()
        os.kill(pid, signal.SIGSTOP)  # that is no death
        with pytest.raises(UserError, match="is in use"):
            Lock(tmp_path).acquire()
        assert hidden(tmp_path) == {NAME}


def test_a_killed_holder_is_gone_at_once(tmp_path: Path, forkserver: BaseContext) -> None:
    with held(forkserver, tmp_path):
        pass
    for _ in range(2):
        with locked(tmp_path, ALONE) as check:
            check()
            assert hidden(tmp_path) >= {NAME}
        assert hidden(tmp_path) == set()


def test_a_later_process_of_the_same_number_is_another(tmp_path: Path, forkserver: BaseContext) -> None:
    with held(forkserver, tmp_path):
        pretend(tmp_path, started="1")
        with locked(tmp_path, ALONE):
            pass


def test_a_job_that_slurm_starts_again_does_not_wait_for_its_former_self(
    tmp_path: Path, forkserver: BaseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "here")
    with held(forkserver, tmp_path):
        pretend(tmp_path, machine="another", job="here:4711", restarts=0)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        with locked(tmp_path, ALONE):
            pass
    with held(forkserver, tmp_path):
        pretend(tmp_path, job="here:4712", restarts=0)
        with pytest.raises(UserError, match=r"\(job 4712\)"):
            Lock(tmp_path).acquire()


@pytest.mark.usefixtures("hasty")
def test_on_another_machine_signs_of_life_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path, ALONE):
        far = pretend(tmp_path, machine="another", token="0" * 32)
        beating = threading.Event()

        def beat() -> None:
            for count in range(10_000):
                (tmp_path / NAME / "beat").write_text(str(count))
                if beating.wait(0.1):
                    return

        heart = threading.Thread(target=beat)
        heart.start()
        monkeypatch.setattr(locking, "PATIENCE", 120)
        began = time.monotonic()
        with pytest.raises(UserError, match=re.escape(str(far))):
            Lock(tmp_path).acquire()
        assert time.monotonic() - began < 60
        monkeypatch.setattr(locking, "PATIENCE", 1.5)
        beating.set()
        heart.join()
        with locked(tmp_path, ALONE) as check:
            check()


@pytest.mark.usefixtures("hasty")
def test_a_copy_of_a_directory_in_use_is_free(tmp_path: Path, forkserver: BaseContext) -> None:
    with held(forkserver, tmp_path / "run"):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        (tmp_path / "run").rename(tmp_path / "moved")
        with locked(tmp_path / "copy", ALONE):
            pass
        with pytest.raises(UserError, match="is in use"):
            Lock(tmp_path / "moved").acquire()


@pytest.mark.usefixtures("hasty")
def test_who_was_taken_for_dead_writes_nothing_more(tmp_path: Path) -> None:
    with locked(tmp_path, ALONE) as check:
        check()
        pretend(tmp_path, machine="another", token="1" * 32)
        with (
            locked(tmp_path, ALONE),
            pytest.raises(UserError, match=r"was taken over by process \d+ .*nothing more is written there"),
        ):
            check()
        shutil.rmtree(tmp_path / NAME, ignore_errors=True)
        check()  # a lock that was removed by hand is put back
        assert (tmp_path / NAME).is_dir()


def contend(directory: Path, results: Path, number: int) -> None:
    taken = 0
    while taken < 20:
        try:
            with locked(directory, ALONE):
                mark = directory / "inside"
                mark.touch(exist_ok=False)
                time.sleep(0.001)
                mark.unlink()
        except UserError:
            continue
        taken += 1
        (results / str(number)).write_text(str(taken))
        if number % 2 and taken == 5:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.deep
def test_never_two_at_a_time(tmp_path: Path, forkserver: BaseContext) -> None:
    directory, results = tmp_path / "run", tmp_path / "results"
    results.mkdir()
    with held(forkserver, directory):
        pass
    processes = [
        forkserver.Process(target=contend, args=(directory, results, number))  # type: ignore[attr-defined]
        for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, -signal.SIGKILL] * 2
    assert [(results / str(number)).read_text() for number in range(4)] == ["20", "5"] * 2


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"token": "../../x"}', "null", '{"pid": 1}'])
def test_a_lock_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "holder.json").write_text(content)
    with pytest.raises(UserError, match=r"\.run\.lock: cannot be read .*; remove it if nobody trains in"):
        Lock(tmp_path).acquire()


@pytest.mark.deep
def test_a_second_train_is_refused_and_evaluate_is_not(tmp_path: Path, concrete: Path) -> None:
    """Beside one whose process cannot be seen from here, where such can be had."""
    settings = {"max_epochs": 10_000, "checkpoint_steps": 1}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=settings)
    out = tmp_path / "out"
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        apart = []
    with (tmp_path / "said").open("w") as said:
        command = [*apart, sys.executable, "-m", "ucf_vit", "train", str(config)]
        first = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        while not (out / "best").exists():
            assert first.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
        for overrides in ((RESUME,), ("trainer.overwrite=true",)):
            with pytest.raises(UserError, match=rf"{out} is in use: process {'1' if apart else ''}"):
                runs.train(config, *overrides)
        for name in ("best", "last"):
            run = load(config)
            with start(run) as world:
                evaluate_task(build_task(run), run, world, EvaluationRequest(name))
        assert first.poll() is None
    finally:
        first.kill()
        first.wait(60)

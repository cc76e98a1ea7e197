"""Scratch files: made once, kept to a size, gone at the end, whatever the end was."""

import gc
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from ucf_vit.data.storage.scratch import Scratch, _sweep

FORK = multiprocessing.get_context("fork")


def write(size: int, calls: list[Path] | None = None):
    def make(path: Path) -> None:
        if calls is not None:
            calls.append(path)
        path.write_bytes(bytes(size))

    return make


def test_a_file_is_made_once_and_found_by_its_key(tmp_path):
    scratch, calls = Scratch(tmp_path / "s"), []
    paths = {scratch.file(write(10, calls), 10, ".nii", "a", 1) for _ in range(3)}
    assert len(calls) == len(paths) == 1
    assert scratch.file(write(10, calls), 10, ".nii", "a", 2) not in paths
    assert next(iter(paths)).suffix == ".nii"


def _make_slowly(scratch: Scratch, log: Path) -> None:
    def make(path: Path) -> None:
        with log.open("a") as stream:
            stream.write("made\n")
        time.sleep(0.2)
        path.write_bytes(b"x")

    assert scratch.file(make, 1, ".nii", "same") is not None


def test_processes_that_want_the_same_file_wait_for_one_to_make_it(tmp_path):
    scratch, log = Scratch(tmp_path / "s"), tmp_path / "log"
    processes = [FORK.Process(target=_make_slowly, args=(scratch, log)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert log.read_text() == "made\n"


def test_the_least_recently_used_file_is_removed_first(tmp_path):
    scratch = Scratch(tmp_path / "s", limit=250)
    first, second = (scratch.file(write(100), 100, ".nii", name) for name in "ab")
    for path, age in (first, 20), (second, 10):
        os.utime(path, (time.time() - age,) * 2)
    assert scratch.file(write(100), 100, ".nii", "a") == first
    third = scratch.file(write(100), 100, ".nii", "c")
    assert first.exists() and third.exists() and not second.exists()


def test_a_file_over_the_limit_is_not_kept(tmp_path):
    assert Scratch(tmp_path / "s", limit=10).file(write(11), 11, ".nii", "a") is None


def test_a_full_disk_is_no_error(tmp_path, caplog):
    def make(path: Path) -> None:
        path.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    scratch = Scratch(tmp_path / "s")
    assert scratch.file(make, 10, ".nii", "a") is None
    assert "no room for scratch files" in caplog.text
    assert not list((tmp_path / "s").glob("*.partial"))


def test_other_errors_of_the_maker_are_raised(tmp_path):
    def make(path: Path) -> None:
        raise EOFError("truncated")

    with pytest.raises(EOFError):
        Scratch(tmp_path / "s").file(make, 10, ".nii", "a")


def test_an_unusable_directory_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert Scratch(tmp_path / "file" / "s").file(write(1), 1, ".nii", "a") is None
    assert "no scratch files" in caplog.text


def test_the_last_owner_removes_the_directory(tmp_path):
    one, two = Scratch(tmp_path / "s"), Scratch(tmp_path / "s")
    one.file(write(1), 1, ".nii", "a")
    del one
    assert list((tmp_path / "s").glob("*.nii"))
    del two
    assert not (tmp_path / "s").exists()


def test_workers_copies_own_nothing(tmp_path):
    scratch = Scratch(tmp_path / "s")
    copy = pickle.loads(pickle.dumps(scratch))
    assert copy.file(write(1), 1, ".nii", "a") == scratch.file(write(1), 1, ".nii", "a")
    del copy
    assert (tmp_path / "s").exists()


def _own_and_wait(directory: Path, ready) -> None:
    scratch = Scratch(directory)
    scratch.file(write(1), 1, ".nii", "left behind")
    ready.set()
    time.sleep(600)


def test_the_next_owner_removes_what_a_killed_one_left(tmp_path):
    ready = FORK.Event()
    process = FORK.Process(target=_own_and_wait, args=(tmp_path / "s", ready))
    process.start()
    assert ready.wait(300)
    other = Scratch(tmp_path / "s")
    assert len(list((tmp_path / "s").glob("*.nii"))) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    other.file(write(1), 1, ".nii", "mine")
    assert len(list((tmp_path / "s").glob("*.nii"))) == 2
    del other
    assert not (tmp_path / "s").exists()


def test_the_only_owner_is_killed(tmp_path):
    ready = FORK.Event()
    process = FORK.Process(target=_own_and_wait, args=(tmp_path / "s", ready))
    process.start()
    assert ready.wait(300)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    scratch = Scratch(tmp_path / "s")
    assert not list((tmp_path / "s").glob("*.nii"))
    assert scratch.directory.stat().st_mode & 0o077 == 0


def _own_briefly(directory: Path) -> None:
    for number in range(20):
        scratch = Scratch(directory)
        assert scratch.file(write(1), 1, ".nii", number) is not None
        del scratch


def test_owners_that_come_and_go_at_once_do_not_trip_over_each_other(tmp_path):
    processes = [FORK.Process(target=_own_briefly, args=(tmp_path / "s",)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert not (tmp_path / "s").exists()


def test_an_owner_that_is_collected_while_another_is_made_waits_for_no_lock(tmp_path, monkeypatch):
    def too_long(number, frame):
        pytest.fail("waits for a lock that its own thread holds")

    def sweep_and_collect(directory):
        gc.collect()
        _sweep(directory)

    cycle = [Scratch(tmp_path / "s")]
    cycle.append(cycle)
    del cycle
    monkeypatch.setattr("ucf_vit.data.storage.scratch._sweep", sweep_and_collect)
    former = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(10)
    try:
        second = Scratch(tmp_path / "s")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    assert len(list((tmp_path / "s").glob("*.owner"))) == 1
    del second
    assert not (tmp_path / "s").exists()

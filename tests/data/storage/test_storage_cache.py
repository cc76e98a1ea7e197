"""The cache of remote files: bounded, checked, shared by processes, and none the worse for a kill."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.storage import Cache
from ucf_vit.data.storage import scratch as scratch_module
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.storage.store import Entry

FORK = multiprocessing.get_context("fork")


def entry(body: bytes, version: str = "1") -> Entry:
    return Entry("v.nii.gz", False, len(body), version)


def kept(directory: Path, limit: int | None = None) -> Cache:
    return Cache(Scratch(directory, limit, keep=True))


def get(
    cache: Cache, body: bytes, name: str = "v.nii.gz", version: str = "1", calls: list | None = None
) -> Path:
    def download(out: Path) -> None:
        if calls is not None:
            calls.append(out)
        out.write_bytes(body)

    return cache.file(f"s3://bucket/{name}", entry(body, version), download)


def test_a_directory_that_was_named_stays_for_the_next_run(tmp_path):
    calls = []
    cache = kept(tmp_path / "c")
    path = get(cache, b"body", calls=calls)
    del cache
    assert get(kept(tmp_path / "c"), b"body", calls=calls) == path and len(calls) == 1
    assert get(kept(tmp_path / "c"), b"body", version="2", calls=calls) != path


def test_the_temporary_one_is_gone_with_its_last_owner(tmp_path):
    cache = Cache.at(None, None, Scratch(tmp_path / "s"))
    assert get(cache, b"body").exists()
    del cache
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("damage", [b"bod", b"bodx", b""])
def test_damage_is_noticed_by_the_next_run_and_made_good(tmp_path, caplog, damage):
    path = get(kept(tmp_path / "c"), b"body")
    path.write_bytes(damage)
    time.sleep(0.01)
    assert get(kept(tmp_path / "c"), b"body").read_bytes() == b"body"
    assert "damaged" in caplog.text


def test_a_file_that_was_cut_is_noticed_at_once(tmp_path):
    cache = Cache(Scratch(tmp_path / "s"))
    path = get(cache, b"body")
    path.write_bytes(b"bo")
    assert get(cache, b"body").read_bytes() == b"body"


def test_it_is_checked_whole_once_in_a_run(tmp_path, monkeypatch):
    get(kept(tmp_path / "c"), b"body")
    looked, checksum = [], scratch_module.file_digest
    monkeypatch.setattr(scratch_module, "file_digest", lambda path: looked.append(path) or checksum(path))
    time.sleep(0.01)
    cache = kept(tmp_path / "c")
    for _ in range(3):
        get(cache, b"body")
    assert len(looked) == 1


def test_the_cache_stays_below_its_limit_and_keeps_recent_files(tmp_path):
    cache = kept(tmp_path / "c", limit=10_000)
    for number in range(200):
        get(cache, bytes(500), str(number))
        os.utime(get(cache, bytes(500), str(number)), (number, number))
        assert sum(path.stat().st_size for path in files(tmp_path / "c")) <= 10_000
    left = set(files(tmp_path / "c"))
    assert get(cache, bytes(500), "199") in left and len(left) >= 15
    assert len(list((tmp_path / "c").glob("*.lock"))) <= len(left) + 2


def files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.suffix not in (".lock", ".total", ".partial")]


def test_a_full_cache_is_an_error_with_advice(tmp_path):
    with pytest.raises(DataError, match=r"v\.nii\.gz: no room.*data\.cache_dir.*data\.cache_size"):
        get(kept(tmp_path / "c", limit=3), b"body")


def test_a_full_disk_is_no_short_file(tmp_path):
    def download(out: Path) -> None:
        out.write_bytes(b"bo")
        raise OSError(28, "No space left on device")

    cache = kept(tmp_path / "c")
    with pytest.raises(DataError, match="no room"):
        cache.file("s3://bucket/v", entry(b"body"), download)
    assert not files(tmp_path / "c")


def test_a_directory_that_can_not_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/c: can't be used"):
        kept(tmp_path / "file" / "c")


def _slow(cache: Cache, log: Path, ready, seconds: float) -> None:
    def download(out: Path) -> None:
        with log.open("a") as stream:
            stream.write("fetched\n")
        out.write_bytes(b"bo")
        ready.set()
        time.sleep(seconds)
        out.write_bytes(b"body")

    path = cache.file("s3://bucket/v.nii.gz", entry(b"body"), download)
    assert path.read_bytes() == b"body"


def test_processes_fetch_a_file_once(tmp_path):
    cache, ready = kept(tmp_path / "c"), FORK.Event()
    processes = [FORK.Process(target=_slow, args=(cache, tmp_path / "log", ready, 0.3)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "log").read_text() == "fetched\n"


def test_who_is_killed_while_fetching_leaves_nothing_to_be_taken_for_the_file(tmp_path):
    cache, ready = kept(tmp_path / "c"), FORK.Event()
    process = FORK.Process(target=_slow, args=(cache, tmp_path / "log", ready, 600))
    process.start()
    assert ready.wait(300)
    assert kept(tmp_path / "c") and list((tmp_path / "c").glob("*.partial"))  # at work: not to be removed
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    later = kept(tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["all.total"]
    assert get(later, b"body").read_bytes() == b"body"


def test_other_files_in_the_directory_are_left_alone(tmp_path):
    """Whatever it is called, and however full the cache is."""
    (tmp_path / "folder").mkdir()
    for name in ("uv.lock", "thesis.partial", "results.h5"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    before = sorted(tmp_path.iterdir())
    for number in range(3):
        cache = Cache.at(str(tmp_path), 1500 / 2**30, Scratch(tmp_path / "folder" / "s"))
        get(cache, b"y" * 1000, name=f"v{number}.nii.gz")
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "ucf_vit-cache"] == before
    assert all(path.stat().st_size == 1000 for path in before if path.is_file())

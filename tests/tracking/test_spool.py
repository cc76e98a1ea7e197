"""The file of events: nothing lost at a kill, no step twice after it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.tracking.spool import Spool, read_events


def metrics(spool: Spool, step: int, value: float = 0.0) -> None:
    if spool.is_new("step", step):
        spool.append({"kind": "metrics", "event": "step", "step": step, "metrics": {"loss": value}})


def steps(path: Path) -> list[int]:
    return [event["step"] for event, _ in read_events(path) if event["kind"] == "metrics"]


def trained(path: Path, begin: int, end: int, digest: str = "a") -> Spool:
    spool = Spool(path, digest, keep=begin > 0)
    spool.append({"kind": "start", "digest": digest, "step": begin})
    for step in range(begin + 1, end + 1):
        metrics(spool, step)
    spool.close()
    return spool


@settings(max_examples=40)
@given(killed=st.integers(1, 20), back=st.integers(0, 20), cut=st.integers(0, 60))
def test_every_step_once_after_a_kill_within_a_line(
    tmp_path_factory: pytest.TempPathFactory, killed: int, back: int, cut: int
) -> None:
    """The resumed run trains some steps again, and writes the one that the kill cut short."""
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    trained(path, 0, killed)
    token = next(read_events(path))[0]["token"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, 60)])
    trained(path, max(1, killed - back), 25)
    found = steps(path)
    assert len(found) == len(set(found)) and set(found) >= set(range(killed + 1, 26))
    if cut == 0:
        assert found == list(range(1, 26))
    assert next(read_events(path))[0]["token"] == token
    assert all(event["kind"] != "unreadable" for event, _ in read_events(path))


def test_steps_of_another_config_are_recorded_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    trained(path, 0, 6)
    trained(path, 4, 8, digest="b")
    trained(path, 6, 10, digest="b")
    assert steps(path) == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9, 10]


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    trained(path, 0, 3)
    first = path.read_text().splitlines()[0]
    trained(path, 0, 2)
    assert steps(path) == [1, 2] and path.read_text().splitlines()[0] != first


def test_a_full_disk_delays_events(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """/dev/full is a disk without room."""
    spool = Spool(tmp_path / "events.jsonl", "a", keep=False)
    disk, spool._file = spool._file, open("/dev/full", "ab", buffering=0)  # noqa: SIM115, PTH123
    with spool._file:
        metrics(spool, 1)
        metrics(spool, 2)
    assert len([one for one in caplog.records if "cannot be written" in one.message]) == 1
    spool._file = disk
    metrics(spool, 3)
    spool.close()
    assert steps(spool.path) == [1, 2, 3]


def test_numbers_that_are_none_survive(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "events.jsonl", "a", keep=False)
    metrics(spool, 1, float("nan"))
    metrics(spool, 2, float("inf"))
    spool.close()
    values = [event["metrics"]["loss"] for event, _ in read_events(spool.path) if event["kind"] == "metrics"]
    assert json.dumps(values) == "[NaN, Infinity]"

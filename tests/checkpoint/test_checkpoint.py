"""Checkpoints: whole or absent, checked, the newest valid one found."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ucf_vit import checkpoint
from ucf_vit.checkpoint.locate import locate
from ucf_vit.checkpoint.read import sha256
from ucf_vit.core.errors import CheckpointError


def write(directory: Path, step: int) -> None:
    weights = {"w": torch.full((3,), float(step))}
    checkpoint.save(directory, weights, {"step": step}, {"step": step}, averaged={"w": weights["w"] / 2})


def test_a_saved_checkpoint_is_read(tmp_path: Path) -> None:
    write(tmp_path / "last_even", 7)
    read = checkpoint.load(tmp_path / "last_even")
    assert read.weights["w"].tolist() == [7.0, 7.0, 7.0]
    assert read.averaged["w"].tolist() == [3.5, 3.5, 3.5]
    assert read.state == {"step": 7}
    assert read.meta["versions"]["torch"] == torch.__version__
    assert [path.name for path in tmp_path.iterdir()] == ["last_even"]


def test_the_newest_slot_is_found_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path / "last_odd", 30)
    write(tmp_path / "last_even", 20)
    assert [path.name for path in checkpoint.find(tmp_path, "last")] == ["last_even", "last_odd"]
    assert [path.name for path in checkpoint.find(tmp_path, "last_odd")] == ["last_odd"]
    assert checkpoint.load_newest(tmp_path, "other") == (None, [])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *itertools.product(("model.safetensors", "ema.safetensors", "state.pt"), ("cut", "flipped", "gone")),
        (checkpoint.META, "cut"),
        (checkpoint.META, "gone"),
    ],
)
def test_a_damaged_newer_slot_falls_back_to_the_older_and_is_named(
    tmp_path: Path, file: str, damage: str
) -> None:
    write(tmp_path / "last_even", 10)
    write(tmp_path / "last_odd", 20)
    path = tmp_path / "last_odd" / file
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    read, problems = checkpoint.load_newest(tmp_path, "last")
    assert read is not None
    assert read.state == {"step": 10}
    assert file == checkpoint.META or str(path) in problems[0]


def test_older_ones_that_were_kept_serve_when_both_slots_are_damaged(tmp_path: Path) -> None:
    for step, name in enumerate(("last_step_1", "last_step_2", "last_even", "last_odd"), start=1):
        write(tmp_path / name, step)
    for name in ("last_even", "last_odd"):
        (tmp_path / name / "model.safetensors").unlink()
    read, problems = checkpoint.load_newest(tmp_path, "last")
    assert read is not None and read.directory.name == "last_step_2"
    assert len(problems) == 2


def test_no_valid_slot_is_an_error_that_names_both(tmp_path: Path) -> None:
    for slot in checkpoint.slots(tmp_path, "last"):
        write(slot, 1)
        (slot / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last_even.*last_odd|last_odd.*last_even"):
        checkpoint.load_newest(tmp_path, "last")


def test_nothing_executable_is_loaded(tmp_path: Path) -> None:
    slot = tmp_path / "last_even"
    write(slot, 1)
    torch.save({"step": Path("x")}, slot / "state.pt")
    meta = json.loads((slot / checkpoint.META).read_text())
    meta["sha256"]["state.pt"] = sha256(slot / "state.pt")
    (slot / checkpoint.META).write_text(json.dumps(meta))
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        checkpoint.load(slot)


def test_the_last_written_checkpoint_is_newest_even_at_an_earlier_step(tmp_path: Path) -> None:
    write(tmp_path / "last_odd", 36)
    write(tmp_path / "last_even", 12)
    read, problems = checkpoint.load_newest(tmp_path, "last")
    assert read is not None
    assert (read.state["step"], problems) == (12, [])


@pytest.mark.parametrize("ahead", ["last_odd", "last_even", "last_step_1"])
def test_the_newest_checkpoint_does_not_depend_on_clocks(tmp_path: Path, ahead: str) -> None:
    for step, name in enumerate(("last_step_1", "last_step_2", "last_odd", "last_even"), start=1):
        write(tmp_path / name, step)
    meta = tmp_path / ahead / checkpoint.META
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"written": 9e12}))
    expected = [tmp_path / name for name in ("last_even", "last_odd", "last_step_2", "last_step_1")]
    assert checkpoint.find(tmp_path, "last") == expected
    assert checkpoint.find_all(tmp_path, "last") == expected
    assert checkpoint.find_kept(tmp_path, "last") == expected[2:]
    assert locate(tmp_path / "last") == expected[0]
    write(tmp_path / "best", 3)
    assert checkpoint.find_all(tmp_path, "last")[0] == tmp_path / "best"


def test_checkpoints_of_before_they_had_numbers_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step, name in ((20, "last_even"), (10, "last_odd")):
        write(tmp_path / name, step)
        meta = tmp_path / name / checkpoint.META
        content = json.loads(meta.read_text())
        del content["number"]
        meta.write_text(json.dumps(content))
    assert [path.name for path in checkpoint.find(tmp_path, "last")] == ["last_even", "last_odd"]
    write(tmp_path / "last_odd", 5)
    assert [path.name for path in checkpoint.find(tmp_path, "last")] == ["last_odd", "last_even"]


@pytest.mark.parametrize("name", ["/etc", "..", ".", "", "../run/best", "best/", "a\0b", "\ud800", "x" * 300])
def test_invalid_names_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "best", 1)
    with pytest.raises(
        CheckpointError, match=r"is not the name of a checkpoint in .*such as best, last or last_even"
    ):
        checkpoint.load_newest(tmp_path, name)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 2, "written": 9e99}', '{"format": 2, "sha256": {}}', "[]"]
)
def test_a_damaged_description_is_reported_and_the_other_slot_used(tmp_path: Path, text: str) -> None:
    write(tmp_path / "last_even", 10)
    write(tmp_path / "last_odd", 20)
    (tmp_path / "last_odd" / checkpoint.META).write_text(text)
    read, problems = checkpoint.load_newest(tmp_path, "last")
    assert read is not None
    assert read.state["step"] == 10
    assert "last_odd" in problems[0]


@pytest.mark.parametrize("name", ["best", "last_odd"])
def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, 20)
    left = tmp_path / f".{name}.old"
    (tmp_path / name).rename(left)
    (tmp_path / f".{name}.12345678.tmp").mkdir()
    (tmp_path / ".mine.old").mkdir()
    read, _ = checkpoint.load_newest(tmp_path, name.removesuffix("_odd"))
    assert read is not None
    assert (read.directory, read.state["step"]) == (left, 20)  # a reader leaves everything where it is
    checkpoint.clean_up(tmp_path, "last", "best")
    assert {path.name for path in tmp_path.iterdir()} == {name, ".mine.old"}


def save_for_ever(directory: Path) -> None:
    for step in itertools.count(1):
        slot = checkpoint.slots(directory, "last")[step % 2]
        checkpoint.save(slot, {"w": torch.full((300_000,), float(step))}, {"step": step}, {"step": step})


@pytest.mark.parametrize("attempt", range(5))
def test_a_kill_at_any_moment_leaves_a_valid_checkpoint(
    tmp_path: Path, attempt: int, forkserver: Any
) -> None:
    writer = forkserver.Process(target=save_for_ever, args=(tmp_path,))
    writer.start()
    while not checkpoint.find(tmp_path, "last"):
        time.sleep(0.01)
    time.sleep(0.1 + 0.0137 * attempt)
    writer.kill()
    writer.join()
    read, _ = checkpoint.load_newest(tmp_path, "last")
    assert read is not None
    assert set(read.weights["w"].tolist()) == {float(read.state["step"])}

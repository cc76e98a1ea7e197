"""Which checkpoint a path means, and how its weights differ from those of another network."""

import shutil
from pathlib import Path

import pytest
import torch

from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import describe, export_weights
from ucf_vit.checkpoint.locate import find_start, locate, place_of
from ucf_vit.checkpoint.mismatch import mismatch
from ucf_vit.core.errors import CheckpointError


def write(directory: Path, step: int) -> None:
    checkpoint.save(directory, {"w": torch.full((3,), float(step))}, {"step": step}, {"step": step})


def test_a_checkpoint_is_itself_and_last_is_the_newer_slot(tmp_path: Path) -> None:
    for step, name in enumerate(("best", "last_odd", "last_even"), start=1):
        write(tmp_path / name, step)
    assert locate(tmp_path / "best") == tmp_path / "best"
    assert locate(tmp_path / "last") == tmp_path / "last_even"
    assert describe(tmp_path / "last").startswith(f"{tmp_path}/last_even: task None, step 3")
    assert export_weights(tmp_path / "last", tmp_path / "w.safetensors") == 3


def test_of_the_directory_of_a_run_it_is_the_best_or_the_newest(tmp_path: Path) -> None:
    write(tmp_path / "best", 1)
    write(tmp_path / "last_odd", 2)
    write(tmp_path / "last_even", 3)
    assert locate(tmp_path) == tmp_path / "best"
    assert place_of(tmp_path) == (tmp_path, None)
    assert place_of(tmp_path / "last") == (tmp_path, "last")
    shutil.rmtree(tmp_path / "best")
    assert find_start(str(tmp_path)) == tmp_path / "last_even"
    (tmp_path / "last_even").rename(tmp_path / ".last_even.old")
    assert locate(tmp_path) == tmp_path / ".last_even.old", "a save was killed between its two renames"


def test_a_path_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    expected = "expected the directory of a run, or one of its checkpoints, such as RUN/best or RUN/last"
    with pytest.raises(CheckpointError, match=f"/none does not exist; {expected}"):
        locate(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=f"/file is not the directory of a checkpoint; {expected}"):
        locate(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"holds no complete checkpoint \(meta.json is missing\)"):
        locate(tmp_path)


def test_how_weights_differ_is_a_line() -> None:
    own = {"scale": torch.ones(()), **{f"a{number}": torch.ones(2, 3) for number in range(5)}}
    same = {name: tuple(tensor.shape) for name, tensor in own.items()}
    assert mismatch(own, same) == ""
    assert mismatch(own, {}) == "6 of 6 weights are missing: scale, a0, a1, and 3 more"
    assert mismatch(own, same | {"b": (1,), "a2": (4, 3), "scale": (1,)}) == (
        "1 are not used by this network: b; 2 of 6 have another shape: scale (1 in place of one number), "
        "a2 (4 x 3 in place of 2 x 3)"
    )

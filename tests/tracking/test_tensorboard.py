"""Event files of TensorBoard: every step once, also after a kill."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runs
from ucf_vit.config import load
from ucf_vit.training.run_directory import claim
from ucf_vit.training.run_directory.owned import FOLDERS, Owned

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
)


def state(step: int) -> Any:
    return SimpleNamespace(step=step, epoch=step // 4)


def read(directory: Path) -> Any:
    return accumulator.EventAccumulator(str(directory / "tensorboard")).Reload()


def train(directory: Path, run: Any, first: int, last: int, end: bool = True) -> Any:
    from ucf_vit.tracking.tensorboard_hook import TensorboardHook

    hook = TensorboardHook(directory, run)
    hook.on_start(state(first - 1))
    for step in range(first, last + 1):
        hook.on_step(state(step), {"step": step, "epoch": 0, "loss": 1 / step})
    hook.on_validation(state(last), {"validation/loss": 0.5})
    if end:
        hook.on_end(state(last))
    else:
        hook.writer.flush()
    return hook


def test_metrics_pictures_and_config(tmp_path: Path) -> None:
    run = load(runs.write_config(tmp_path / "c.yaml", "masked", tmp_path))
    claim(tmp_path, "pictures/loss.png")
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "pictures/loss.png")
    train(tmp_path, run, 1, 6)
    events = read(tmp_path)
    assert [(one.step, pytest.approx(one.value)) for one in events.Scalars("loss")] == [
        (step, 1 / step) for step in range(1, 7)
    ]
    assert events.Scalars("validation/loss")[0].step == 6
    (picture,) = events.Images("loss")
    assert (picture.step, picture.width, picture.height) == (6, 6, 4)
    assert b"mask_ratio" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]


def test_steps_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    """A training that was killed at step 7 and resumed from step 4."""
    run = load(runs.write_config(tmp_path / "c.yaml", "masked", tmp_path))
    killed = train(tmp_path, run, 1, 7, end=False)
    train(tmp_path, run, 5, 9)
    killed.writer.close()
    assert [one.step for one in read(tmp_path).Scalars("loss")] == list(range(1, 10))


def test_a_run_that_is_replaced_takes_its_files_along(tmp_path: Path) -> None:
    run = load(runs.write_config(tmp_path / "c.yaml", "masked", tmp_path))
    train(tmp_path, run, 1, 2)
    owned = Owned.read(tmp_path)
    assert owned is not None and "tensorboard" in owned.files and "tracking" in FOLDERS
    owned.remove(keep=["tensorboard"])
    assert (tmp_path / "tensorboard").is_dir()
    owned.remove()
    assert not (tmp_path / "tensorboard").exists()
    train(tmp_path, run, 1, 1)
    assert [one.step for one in read(tmp_path).Scalars("loss")] == [1]

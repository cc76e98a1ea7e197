"""The loop: what is logged, validated and saved when, also where epochs end with fewer batches for a step."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import runs
from ucf_vit import checkpoint
from ucf_vit.data.batch import Batch
from ucf_vit.synthetic import write_dataset
from ucf_vit.training import loop
from ucf_vit.training.hooks.jsonl import read_metrics
from ucf_vit.training.meter import Meter

NO_UPDATE = {"lr": 1e-30, "warmup_steps": 0}
RESUME = "trainer.resume_from_checkpoint=true"


def events(directory: Path, event: str, *keys: str) -> list[tuple[Any, ...]]:
    return [
        tuple(line[key] for key in keys)
        for line in read_metrics(directory / "metrics.jsonl")
        if line["event"] == event
    ]


def stop_in(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scheduler's signal come in the step of this number, heard before it ends."""
    real = loop.train_step

    def signalled(state: Any, *arguments: Any, stop: bool, **more: Any) -> Any:
        if state.step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
            stop = True
        return real(state, *arguments, stop=stop, **more)

    monkeypatch.setattr(loop, "train_step", signalled)


@pytest.mark.parametrize("accumulate", [3, 4])
def test_a_stop_at_the_end_of_an_epoch_skips_no_validation(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    """Six batches an epoch make two steps: of three and three, or of four and the two that are left."""
    trainer = {"max_epochs": 3, "accumulate_steps": accumulate}
    whole, stopped = (
        runs.write_config(tmp_path / name / "c.yaml", "masked", concrete, trainer=trainer)
        for name in ("whole", "stopped")
    )
    runs.train(whole)
    with monkeypatch.context() as patch:
        stop_in(2, patch)
        runs.train(stopped)
    newest, _ = checkpoint.load_newest(tmp_path / "stopped/out", "last")
    assert newest is not None
    assert newest.state["step"] == 2
    runs.train(stopped, RESUME)
    for directory in (tmp_path / "whole/out", tmp_path / "stopped/out"):
        assert events(directory, "validation", "step", "epoch") == [(2, 1), (4, 2), (6, 3)]
        assert events(directory, "step", "step", "epoch") == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)]
    for event, key in (("step", "loss"), ("validation", "validation/loss")):
        assert events(tmp_path / "stopped/out", event, key) == events(tmp_path / "whole/out", event, key)


def test_a_short_last_group_is_a_step(tmp_path: Path, concrete: Path) -> None:
    """A last group of a single batch counts like others: its loss is that of a run without accumulation."""
    for name, size in (("five", 5), ("one", 1)):
        trainer = {"max_epochs": 1, "accumulate_steps": size}
        config = runs.write_config(
            tmp_path / name / "c.yaml", "masked", concrete, trainer=trainer, model=NO_UPDATE
        )
        runs.train(config)
    one, five = (runs.losses(tmp_path / name / "out") for name in ("one", "five"))
    assert list(five) == [1, 2]
    assert five[1] == pytest.approx(np.mean([one[step] for step in range(1, 6)]), rel=1e-6)
    assert five[2] == pytest.approx(one[6], rel=1e-6)


def test_what_is_logged_is_the_mean_since_the_last_line(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the end of an epoch too, which has six steps; a run that is stopped says what it still holds."""
    settings = {"log_steps": 4, "max_epochs": 3}
    each = runs.write_config(tmp_path / "each/c.yaml", "masked", concrete, trainer={"max_epochs": 3})
    some = runs.write_config(tmp_path / "some/c.yaml", "masked", concrete, trainer=settings)
    runs.train(each)
    with monkeypatch.context() as patch:
        stop_in(14, patch)
        runs.train(some)
    losses, logged = runs.losses(tmp_path / "each/out"), runs.losses(tmp_path / "some/out")
    assert list(logged) == [4, 8, 12, 14]
    for first, last in ((1, 4), (5, 8), (9, 12), (13, 14)):
        expected = np.mean([losses[step] for step in range(first, last + 1)])
        assert logged[last] == pytest.approx(expected, rel=1e-6)


def test_the_time_between_two_epochs_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    batch = Batch(torch.zeros(4, 1), None, ("v",), "set", ("file",) * 4, torch.arange(4))
    meter = Meter()
    now = 100.0
    found = {}
    for epoch in range(2):
        for batches in meter.waiting([[batch]]):
            now += 2
            meter.add({"loss": 1.0}, batches, 3)
            found = meter.flush() if epoch == 1 else {}
        now += 50
    assert found == {
        "loss": 1.0,
        "samples_per_s": 2 * 4 * 3 / (2 + 2),
        "data_wait": 0.0,
        "tile_seconds/set": 2 / 4,
    }


def test_an_early_stop_comes_after_as_many_validations_as_it_says(tmp_path: Path, concrete: Path) -> None:
    """Nothing is learned: the first validation is the best, and the two that follow are not."""
    trainer = {"max_epochs": 9, "early_stop_epochs": 2}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=trainer, model=NO_UPDATE)
    runs.train(config)
    found = events(tmp_path / "out", "validation", "epoch", "validation/loss")
    assert [epoch for epoch, _ in found] == [1, 2, 3]
    assert len({loss for _, loss in found}) == 1
    assert events(tmp_path / "out", "save", "checkpoint").count(("best",)) == 1


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """Four volumes, of which the last two, held out, have no foreground."""
    root = tmp_path / "healthy"
    for _ in write_dataset(root, number=4, size=(16, 16, 16), seed=0):
        pass
    for path in sorted((root / "labelsTr").iterdir())[2:]:
        image = nibabel.load(path)
        empty = np.zeros(image.shape, np.uint8)
        nibabel.save(nibabel.Nifti1Image(empty, image.affine), path)
    return root


def test_without_foreground_in_held_out_labels_the_loss_chooses_the_best(
    tmp_path: Path, healthy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = {"max_epochs": 5, "early_stop_epochs": 1}
    data = {"dict_end_idx": {"tiny": 0.5}}
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", healthy, trainer=trainer, data=data)
    with caplog.at_level(logging.WARNING):
        runs.train(config)
    found = events(tmp_path / "out", "validation", "epoch", "validation/loss", "validation/dice")
    assert [epoch for epoch, *_ in found] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(loss) and np.isnan(dice) for _, loss, dice in found)
    losses = [loss for _, loss, _ in found]
    assert losses == sorted(losses, reverse=True)
    assert checkpoint.load(tmp_path / "out/best").meta["step"] == 5
    messages = [record.getMessage() for record in caplog.records if "has no value" in record.getMessage()]
    assert len(messages) == 1 and messages[0].startswith(
        "dice has no value on the validation items: the best"
    )

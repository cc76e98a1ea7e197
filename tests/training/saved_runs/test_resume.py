"""A run that was killed continues to the last bit; signals save and end it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

import runs
from ucf_vit import checkpoint
from ucf_vit.core.errors import UserError
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
from ucf_vit.training import loop
from ucf_vit.training.hooks.jsonl import read_metrics

SETTINGS = {"checkpoint_steps": 3, "max_epochs": 4}
TWO_EPOCHS = ["trainer.max_epochs=2"]
DROPOUT = {"drop_path": 0.2, "drop_rate": 0.1}


@pytest.mark.parametrize(
    ("task", "decay"),
    [
        ("masked", 0.0),
        pytest.param("segmentation", 0.9, marks=pytest.mark.deep),
        pytest.param("token_segmentation", 0.9, marks=pytest.mark.deep),
    ],
)
def test_a_killed_run_continues_to_the_last_bit(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, task: str, decay: float
) -> None:
    settings = SETTINGS | {"ema_decay": decay}
    whole = runs.write_config(tmp_path / "whole/c.yaml", task, concrete, trainer=settings, model=DROPOUT)
    runs.train(whole)
    expected = runs.losses(tmp_path / "whole/out")

    killed = runs.write_config(tmp_path / "killed/c.yaml", task, concrete, trainer=settings, model=DROPOUT)
    step = random.randint(4, len(expected) - 4)
    process = forkserver.Process(target=runs.hold_after, args=(killed, step))  # type: ignore[attr-defined]
    process.start()
    while not (tmp_path / "killed/held").exists():
        assert process.exitcode is None
        time.sleep(0.005)
    process.kill()
    process.join()
    resumed_from = checkpoint.load_newest(tmp_path / "killed/out", "last")[0]
    assert resumed_from is not None
    assert 0 < resumed_from.state["step"] <= step

    runs.train(killed, "trainer.resume_from_checkpoint=true", "data.num_workers=1")
    assert runs.losses(tmp_path / "killed/out") == expected
    a, b = (checkpoint.load_newest(tmp_path / name / "out", "last")[0] for name in ("whole", "killed"))
    assert a is not None
    assert b is not None
    assert all(a.weights[name].equal(b.weights[name]) for name in a.weights)
    assert a.averaged.keys() == b.averaged.keys()
    assert bool(a.averaged) == bool(decay)
    assert all(a.averaged[name].equal(b.averaged[name]) for name in a.averaged)
    assert a.state["ema"] == b.state["ema"]


@pytest.mark.deep
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_all_processes_of_a_run_saves_and_ends_it_well(
    tmp_path: Path, concrete: Path, number: signal.Signals
) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": 10_000})
    command = [sys.executable, "-m", "ucf_vit", "train", str(config), "data.num_workers=2"]
    process = subprocess.Popen(command, start_new_session=True)
    while max(runs.losses(tmp_path / "out"), default=0) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, number)
    assert process.wait(timeout=300) == 0
    newest, _ = checkpoint.load_newest(tmp_path / "out", "last")
    assert newest is not None
    assert newest.state["step"] == max(runs.losses(tmp_path / "out"))
    assert number.name in (tmp_path / "out/log.txt").read_text()


def test_a_run_is_not_overwritten_unless_asked(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(config)
    with pytest.raises(UserError, match="holds a run already"):
        runs.train(config)
    runs.train(config, "trainer.overwrite=true")
    assert list(runs.losses(tmp_path / "out")) == [1]


def test_resuming_nothing_starts_anew_and_says_so(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(config, "trainer.resume_from_checkpoint=true")
    assert list(runs.losses(tmp_path / "out")) == [1]


def test_another_network_is_refused(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(config)
    written = (tmp_path / "out/config.yaml").read_text()
    with pytest.raises(
        UserError, match=r"another network .*: model.embed_dim was 24, is 48; repeat the"
    ) as error:
        runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_steps=2", "model.embed_dim=48")
    assert f"or evaluate {tmp_path / 'out/config.yaml'}" in str(error.value)
    assert (tmp_path / "out/config.yaml").read_text() == written


@pytest.mark.deep
def test_other_trees_than_those_of_the_training_get_a_word(tmp_path: Path, concrete: Path) -> None:
    """On resuming, after which they are the training's, and on evaluation, in the report as well."""
    config = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete, trainer={"max_steps": 1})
    runs.train(config)
    log, report = tmp_path / "out/log.txt", tmp_path / "out/report.html"
    resumed = ["trainer.resume_from_checkpoint=true", "trainer.max_steps=2", "model.fixed_length=22"]
    runs.train(config, *resumed)
    assert "was trained with other settings: adaptive.fixed_length was 15, is 22\n" in log.read_text()
    for overrides, said in ((resumed[2:], False), (["model.detail=variance"], True)):
        evaluate_run(config, EvaluationRequest("last"), overrides)
        assert ("adaptive.fixed_length was 22, is 15; adaptive.detail was" in report.read_text()) == said


def test_a_run_goes_on_in_half_precision(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": 1})
    runs.train(config)
    runs.train(
        config, "trainer.resume_from_checkpoint=true", "trainer.data_type=float16", "trainer.max_epochs=2"
    )
    assert len(runs.losses(tmp_path / "out")) == 12


def test_an_unreadable_held_out_file_does_not_end_a_run_that_skips(tmp_path: Path, concrete: Path) -> None:
    shutil.copytree(concrete, tmp_path / "data")
    last = max((tmp_path / "data/imagesTr").iterdir())
    last.write_bytes(last.read_bytes()[:2000])
    settings = {"max_epochs": 1, "pictures": True}
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", tmp_path / "data", trainer=settings)
    runs.train(config, "data.on_error=skip")
    assert last.name in (tmp_path / "out/log.txt").read_text()


def test_a_signal_in_the_last_step_leaves_nothing_out(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 3})
    step = loop.train_step

    def signalled(state, *arguments, stop, **more):
        result = step(state, *arguments, stop=stop, **more)
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(loop, "train_step", signalled)
    runs.train(config)
    assert list(runs.losses(tmp_path / "out", "validation", "validation/loss")) == [3]
    assert checkpoint.load_newest(tmp_path / "out", "best")[0] is not None


def test_more_epochs_are_told_that_the_rate_jumps(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": 1})
    runs.train(config)
    end = max(runs.losses(tmp_path / "out"))
    longer = ["trainer.resume_from_checkpoint=true", "trainer.max_epochs=2"]
    runs.train(config, *longer, f"model.max_steps={end}", "trainer.max_steps=" + str(end + 1))
    log = tmp_path / "out/log.txt"
    assert "the learning rate is" not in log.read_text()
    last = [line for line in read_metrics(tmp_path / "out/metrics.jsonl") if line["event"] == "step"][-1]
    assert (last["step"], last["lr"]) == (end + 1, 0.0)
    runs.train(config, *longer)
    assert (
        f"from step {end + 1} on, not 0: the schedule ends at step {2 * end} (so far {end})"
        in log.read_text()
    )
    assert f"With optimizer.max_steps={end} it goes on" in log.read_text()

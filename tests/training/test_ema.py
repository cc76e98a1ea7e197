"""The moving average of the weights: its values, when it is updated, and who uses it."""

import os
from multiprocessing.context import BaseContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

import runs
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.batch import Batch
from ucf_vit.evaluation import evaluate_task
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Loss, Panel, Task
from ucf_vit.training import run as run_module
from ucf_vit.training.build import build_task
from ucf_vit.training.hooks.pictures import PicturesHook
from ucf_vit.training.launch import start
from ucf_vit.training.optimization.ema import Ema
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.saved_runs.restore import load_for_inference, load_weights
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings, train_step

RESUME = "trainer.resume_from_checkpoint=true"


class Scale(Task):
    """The loss is weight times image; shows the weight."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(nn.Linear(1, 1, bias=False))
        self.register_buffer("constant", torch.ones(1))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.set(start)

    def set(self, weight: float) -> None:
        nn.init.constant_(self.model.weight, weight)

    def forward(self, batch: Batch) -> Loss:
        return Loss((self.model.weight.sum() * batch.image).mean())

    def pictures(self, batch: Batch) -> list[Panel]:
        return [Panel("weight", np.full((4, 4), self.model.weight.item())), Panel("x", np.eye(4))]


def batch_of(value: float) -> Batch:
    return Batch(torch.full((2, 1, 4, 4), value), None, ("ct",), "tiny", ("a", "b"), torch.zeros(2).long())


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=20),
    st.sampled_from([0.05, 0.5, 0.999]),
)
def test_the_average_is_the_closed_form(weights: list[float], decay: float) -> None:
    task = Scale(weights[0])
    ema = Ema(task, decay)
    for weight in weights[1:]:
        task.set(weight)
        ema.update(task)
    kept = np.minimum(decay, np.arange(1, len(weights)) / np.arange(10, 9 + len(weights)))
    taken = np.concatenate([[1.0], 1 - kept])
    later = np.append(np.cumprod(kept[::-1])[::-1], 1.0)
    expected = float(np.sum(np.array(weights) * taken * later))
    assert ema.weights.keys() == {"model.weight"}
    assert ema.weights["model.weight"].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_weights_of_half_precision_are_averaged_in_float32() -> None:
    task = Scale(1.0).to(torch.bfloat16)
    ema = Ema(task, 0.5)
    task.set(0.0)
    for _ in range(12):
        ema.update(task)
    assert ema.weights["model.weight"].dtype == torch.float32
    assert 0 < ema.weights["model.weight"].item() < 1e-5
    with ema.averaged(task):
        assert task.model.weight.dtype == torch.bfloat16
    assert task.model.weight.item() == 0


def test_own_weights_come_back_even_after_an_error() -> None:
    task = Scale(1.0)
    ema = Ema(task, 0.9)
    task.set(2.0)
    own = task.model.weight

    def fail() -> None:
        with ema.averaged(task):
            assert task.model.weight is own
            assert own.item() == 1.0
            assert own.requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert own.item() == 2.0
    assert ema.weights["model.weight"].item() == 1.0


def test_sharded_parameters_are_averaged_where_they_are() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        task = nn.Module()
        for index, names in enumerate((("a",), ("b", "c"))):
            mesh = init_device_mesh("cpu", (1,) * len(names), mesh_dim_names=names)
            shards = distribute_tensor(torch.zeros(4, 2), mesh, [Shard(i) for i in range(len(names))])
            task.register_parameter(f"p{index}", nn.Parameter(shards))
        ema = Ema(task, 0.9)
        with torch.no_grad():
            for parameter in task.parameters():
                parameter.fill_(1.0)
        ema.update(task)
        with ema.averaged(task):
            assert all(p.full_tensor().allclose(torch.tensor(0.9)) for p in task.parameters())  # type: ignore[attr-defined]
        assert all(p.full_tensor().eq(1.0).all() for p in task.parameters())  # type: ignore[attr-defined]
    finally:
        dist.destroy_process_group()


def state_of(task: Task, data_type: str) -> State:
    return State(
        task=task,
        replica=task,
        optimizer=torch.optim.AdamW(task.parameters(), fused=True),
        scale=LossScale(data_type == "float16"),
        stream=None,  # type: ignore[arg-type]
        world=World(0, 1, torch.device("cpu")),
        steps_per_epoch=1,
        total_steps=9,
        ema=Ema(task, 0.9),
    )


@pytest.mark.parametrize(
    ("data_type", "bad"), [("float32", float("nan")), ("float16", float("inf")), ("float16", 1e36)]
)
def test_a_step_that_was_left_out_is_not_averaged(data_type: str, bad: float) -> None:
    """1e36 is a loss that is finite, whose gradient is not once it is scaled."""
    task = Scale()
    state = state_of(task, data_type)
    assert state.ema is not None
    made = StepSettings(lambda step: 0.1, getattr(torch, data_type), max_bad_losses=9)
    seen: list[tuple[float, float, int]] = []
    for value in (1.0, bad, bad, 1.0):
        train_step(state, made, [batch_of(value)])
        seen.append((task.model.weight.item(), state.ema.weights["model.weight"].item(), state.ema.updates))
    assert seen[0] == seen[1] == seen[2]
    assert [updates for *_, updates in seen] == [1, 1, 1, 2]
    assert seen[0][0] == pytest.approx(-0.1)
    assert seen[0][1] == pytest.approx(-0.09)
    assert seen[3][1] != seen[2][1]


def test_pictures_are_drawn_with_the_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    task = Scale(1.0)
    ema = Ema(task, 0.9)
    task.set(2.0)
    monkeypatch.setattr(
        "ucf_vit.training.hooks.pictures.draw_panels",
        lambda name, panels, class_names: drawn.append(panels[0].image[0, 0]) or {},
    )
    state: Any = SimpleNamespace(step=1, task=task, averaged=lambda: ema.averaged(task))
    PicturesHook(tmp_path, lambda: batch_of(1.0)).on_end(state)
    assert drawn == [1.0]
    assert task.model.weight.item() == 2.0


def newest(directory: Path, name: str = "last") -> checkpoint.Checkpoint:
    read, _ = checkpoint.load_newest(directory, name)
    assert read is not None
    return read


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_a_run_is_judged_by_its_average_and_trained_without(
    tmp_path: Path, concrete: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = runs.write_config(tmp_path / "plain/c.yaml", "masked", concrete)
    with_ema = runs.write_config(tmp_path / "ema/c.yaml", "masked", concrete, trainer={"ema_decay": 0.99})
    for config in (plain, with_ema):
        runs.train(config)
    out = tmp_path / "ema/out"
    assert runs.losses(out) == runs.losses(tmp_path / "plain/out")
    assert equal(newest(out).weights, newest(tmp_path / "plain/out").weights)
    assert not (newest(tmp_path / "plain/out").directory / "ema.safetensors").exists()
    validated = runs.losses(out, "validation", "validation/loss")
    assert validated != runs.losses(tmp_path / "plain/out", "validation", "validation/loss")

    best = newest(out, "best")
    caplog.set_level("INFO", logger="ucf_vit")
    run = load(with_ema)
    with start(run) as world:
        found = evaluate_task(build_task(run), run, world)
    assert found is not None
    assert found.evaluation.metrics["masked"]["loss"] == validated[best.meta["step"]]
    assert f"{best.directory}: using the averaged weights" in caplog.text
    assert "averaged (trainer.ema_decay)" in (out / "report.html").read_text()

    task = build_task(run)
    for put, expected in ((load_for_inference, best.averaged), (load_weights, best.weights)):
        put(task, run, best)
        assert all(task.state_dict()[name].equal(value) for name, value in expected.items())


def test_an_average_can_begin_and_end_when_a_run_is_resumed(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 2})
    out, log = tmp_path / "out", tmp_path / "out/log.txt"
    runs.train(config)
    before = newest(out)
    slot = before.directory

    runs.train(config, RESUME, "trainer.max_steps=3", "trainer.ema_decay=0.9")
    assert f"{slot} has no averaged weights; they start from its weights\n" in log.read_text()
    begun = newest(out)
    assert begun.state["ema"] == {"updates": 1}
    for name, average in begun.averaged.items():
        torch.testing.assert_close(average, before.weights[name].lerp(begun.weights[name], 0.9))

    runs.train(config, RESUME, "trainer.max_steps=4")
    assert (
        f"trainer.ema_decay is 0: the averaged weights of {begun.directory} are dropped\n" in log.read_text()
    )
    assert not newest(out).averaged
    assert newest(out).state["ema"] is None


def test_a_checkpoint_of_before_there_were_averages_is_resumed(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 2})
    runs.train(config)
    old = newest(tmp_path / "out")
    del old.state["ema"]
    meta = {key: old.meta[key] for key in ("step", "epoch", "task", "grid", "metrics")}
    trained = "".join(line for line in old.meta["config"].splitlines(True) if "ema_decay" not in line)
    checkpoint.save(old.directory, old.weights, old.state, meta | {"config": trained})
    for step, decay in ((3, 0.0), (4, 0.9)):
        runs.train(config, RESUME, f"trainer.max_steps={step}", f"trainer.ema_decay={decay}")
        assert bool(newest(tmp_path / "out").averaged) == bool(decay)


def test_an_encoder_is_taken_over_with_its_average(tmp_path: Path, concrete: Path) -> None:
    short = {"max_steps": 2, "ema_decay": 0.9}
    mae = runs.write_config(tmp_path / "mae/c.yaml", "masked", concrete, trainer=short)
    runs.train(mae)
    taken = {"use_pretrained_mae_model": True, "mae_checkpoint_path": str(tmp_path / "mae/out")}
    unetr = runs.write_config(
        tmp_path / "unetr/c.yaml",
        "segmentation",
        concrete,
        trainer={"max_steps": 1, "ema_decay": 0.5, **taken},
        model={"lr": 1e-30, "warmup_steps": 0, "weight_decay": 0.0},
    )
    runs.train(unetr)
    name = "model.encoder.blocks.0.attn.q.weight"
    source, target = newest(tmp_path / "mae/out"), newest(tmp_path / "unetr/out")
    assert not source.averaged[name].equal(source.weights[name])
    for there in (target.weights, target.averaged):
        torch.testing.assert_close(there[name], source.averaged[name])
    log = tmp_path / "unetr/out/log.txt"
    assert "out/last_even, its averaged weights\n" in log.read_text()
    again, best = "trainer.overwrite=true", f"trainer.mae_checkpoint_path={tmp_path / 'mae/out/best'}"
    runs.train(unetr, again, best)
    assert "mae/out/best, its averaged weights\n" in log.read_text(), "a checkpoint, in place of its run"
    with pytest.raises(CheckpointError, match=r"is a checkpoint; leave .*_filename last out"):
        runs.train(unetr, again, best, "trainer.mae_checkpoint_filename=last")
    with pytest.raises(CheckpointError, match=r"is a file; .* are named as model\.pretrained"):
        runs.train(unetr, again, f"trainer.mae_checkpoint_path={mae}")


def train_and_keep(environment: dict[str, str], config: Path) -> None:
    """One rank of a run, that saves the average it ends with."""
    os.environ |= environment
    fit = run_module.fit

    def watched(state: State, *arguments: Any) -> bool:
        done = fit(state, *arguments)
        assert state.ema is not None
        torch.save(state.ema.weights, config.parent / f"{state.world.rank}.pt")
        return done

    run_module.fit = watched
    runs.train(config)


def test_the_average_is_the_same_on_all_processes(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    settings = {"max_epochs": 1, "ema_decay": 0.99}
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer=settings, data={"batch_size": 2}
    )
    assert runs.on_ranks(forkserver, 2, config, target=train_and_keep) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert equal(first, second)
    assert equal(first, newest(tmp_path / "out").averaged)

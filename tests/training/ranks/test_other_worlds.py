"""Runs of processes that somebody else has started, and hooks on several ranks."""

import json
import os
import signal
from collections.abc import Mapping
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import runs
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError
from ucf_vit.data.batch import Batch
from ucf_vit.tasks.task import Loss, RunState
from ucf_vit.training.build import build_task
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.launch import start, world_of
from ucf_vit.training.run import train_task

FSDP = ("parallelism.mode=fsdp", "parallelism.fsdp_size=2", "parallelism.simple_ddp_size=1")


def train_in_their_group(environment: Mapping[str, str], config: Path, *overrides: str) -> None:
    """As a worker of another program, which has made the process group."""
    torch.set_num_threads(1)
    store = dist.TCPStore(
        environment["MASTER_ADDR"],
        int(environment["MASTER_PORT"]),
        int(environment["WORLD_SIZE"]),
        is_master=environment["RANK"] == "0",
    )
    rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        run = load(config, overrides)
        world = world_of(run)
        assert (world.rank, world.size, world.device.type) == (rank, size, "cpu")
        assert (world.mesh is not None) == (run.parallelism.mode == "fsdp")
        assert train_task(build_task(run), run, world)
        assert dist.is_initialized()
        assert dist.get_world_size() == size
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("layout", [(), FSDP], ids=["simple", "fsdp"])
def test_a_run_in_a_process_group_of_others_is_the_same(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, layout: tuple[str, ...]
) -> None:
    ours, theirs = (
        runs.write_config(tmp_path / name / "c.yaml", "masked", concrete, trainer={"max_steps": 3})
        for name in ("ours", "theirs")
    )
    assert runs.on_ranks(forkserver, 2, ours, *layout) == [0, 0]
    assert runs.on_ranks(forkserver, 2, theirs, *layout, target=train_in_their_group) == [0, 0]
    losses = [runs.losses(tmp_path / name / "out") for name in ("ours", "theirs")]
    assert len(losses[0]) == 3 and losses[0] == losses[1]


def test_without_a_process_group_it_is_a_world_of_one(tmp_path: Path, concrete: Path) -> None:
    run = load(runs.write_config(tmp_path / "c.yaml", "masked", concrete))
    world = world_of(run)
    first = torch.rand(1)
    assert (world.rank, world.size, world.data_size, world.mesh) == (0, 1, 1, None)
    assert world_of(run, torch.device("meta")).device.type == "meta" and torch.rand(1) == first
    with pytest.raises(ConfigError, match="the sizes make 2 ranks"):
        world_of(load(tmp_path / "c.yaml", FSDP))


class Told(Hook):
    """Writes the names of the moments that it is called at, in their order."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}_{os.environ['RANK']}.json"
        self.moments: list[str] = []

    def _add(self, moment: str) -> None:
        self.moments.append(moment)
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(self.moments))

    def on_start(self, state: RunState) -> None:
        self._add("start")

    def on_forward(self, state: RunState, batch: Batch, loss: Loss) -> None:
        self._add("forward")

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        self._add("step")

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        self._add("validation")

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        self._add("save")

    def on_end(self, state: RunState) -> None:
        self._add("end")

    def on_stop(self, state: RunState) -> None:
        self._add("stop")

    def on_error(self, state: RunState, error: Exception) -> None:
        self._add(f"{type(error).__name__}")


class ToldEverywhere(Told):
    every_rank = True


class ToldByName(Told):
    """Made by the run, from the name in its config."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory.parent / "told", "named")


class Failing(Hook):
    """Ends the run at its second step, and cannot bear to hear of it."""

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        if state.step == 2:
            raise KeyError("second step")

    def on_error(self, state: RunState, error: Exception) -> None:
        raise ValueError("not that")


def train_with_hooks(environment: Mapping[str, str], config: Path, *overrides: str) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    run = load(config, overrides)
    directory = config.parent / "told"
    hooks = [Told(directory, "main"), ToldEverywhere(directory, "all")]
    with start(run) as world:
        train_task(build_task(run), run, world, hooks)


def moments(directory: Path) -> dict[str, list[str]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((directory / "told").glob("*.json"))}


def test_hooks_of_the_first_rank_and_of_all(tmp_path: Path, concrete: Path, forkserver: BaseContext) -> None:
    named = [f"{__file__}:ToldByName"]
    settings = {"max_epochs": 1, "max_steps": 2, "accumulate_steps": 2, "hooks": named}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=settings)
    assert runs.on_ranks(forkserver, 2, config, target=train_with_hooks) == [0, 0]
    told = moments(tmp_path)
    assert sorted(told) == ["all_0", "all_1", "main_0", "named_0"]
    main = [moment for moment in told["all_0"] if moment != "forward"]
    assert told["main_0"] == told["named_0"] == main
    assert main[:3] == ["start", "step", "step"] and main[-1] == "end"
    assert told["all_0"] == told["all_1"] and told["all_0"].count("forward") == 3
    assert {"validation", "save"} <= set(main)


def test_all_hooks_hear_of_an_error(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete)
    run = load(config)
    hooks = [Failing(), Told(tmp_path / "told", "main")]
    with pytest.raises(KeyError, match="second step"), start(run) as world:
        train_task(build_task(run), run, world, hooks)
    assert moments(tmp_path)["main_0"] == ["start", "step", "KeyError"]
    assert "Failing.on_error: ValueError: not that" in caplog.text


class Signalled(Hook):
    """Is asked to stop at its second step."""

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


class AfterAll(Hook):
    """Sees the report of each validation when it is called."""

    last = True

    def __init__(self, directory: Path) -> None:
        self.report = directory / "report.html"
        self.seen: list[bool] = []

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        self.seen.append(self.report.is_file())


def test_hooks_hear_of_a_signal_and_some_come_last(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    run = load(runs.write_config(tmp_path / "c.yaml", "masked", concrete))
    last = AfterAll(tmp_path / "out")
    hooks = [last, Signalled(), Told(tmp_path / "told", "main")]
    with start(run) as world:
        assert not train_task(build_task(run), run, world, hooks)
    assert moments(tmp_path)["main_0"] == ["start", "step", "step", "step", "save", "stop"]
    run = load(tmp_path / "c.yaml", ["trainer.resume_from_checkpoint=true"])
    with start(run) as world:
        assert train_task(build_task(run), run, world, [last])
    assert last.seen == [True] * len(last.seen) and last.seen

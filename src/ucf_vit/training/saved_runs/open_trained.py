"""Opens a trained run: its task with the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from ucf_vit import checkpoint
from ucf_vit.config import Run
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.training.build import build_task, distribute_task
from ucf_vit.training.data_record import Record
from ucf_vit.training.launch import pick_device
from ucf_vit.training.postprocessing_file import Chosen, read_chosen
from ucf_vit.training.saved_runs.open_run import FoundRun, find_run, read_checkpoint, record_of
from ucf_vit.training.saved_runs.restore import load_for_inference

TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True)
class Trained(Generic[TaskT]):
    """A task with the weights of a checkpoint, on its device, in evaluation mode; unpacks to `task, run`.

    `run` is the config, `record` the checkpoint's facts about its data, `directory` the checkpoint and `step`
    its optimizer step. `averaged` is True if the weights are the moving average. `differences` lists how the
    network and its input in `run` differ from training, see `ucf_vit.config.differences`. `postprocessing` is
    what was chosen for the predictions of the run, None if nothing was.
    """

    task: TaskT
    run: Run
    record: Record
    directory: Path
    step: int
    averaged: bool
    differences: tuple[str, ...]
    device: torch.device
    postprocessing: Chosen | None = None

    def __iter__(self) -> Iterator[TaskT | Run]:
        yield self.task
        yield self.run


def open_trained(path: Path, overrides: Sequence[str] = (), *, device: str | None = None) -> Trained[Task]:
    """Returns the task of the run or checkpoint at `path`, with its weights; averaged ones if there are any.

    In the directory of a run it takes the best checkpoint, or the newest if there is no best. The config is
    the config.yaml of the run with `overrides`. Class names and normalization come from the checkpoint, so
    no data is read. `device` is a value of `trainer.device`, which is the default. Raises CheckpointError and
    ConfigError.
    """
    return open_found(find_run(path, overrides), device=device)


def open_found(found: FoundRun, *, device: str | None = None) -> Trained[Task]:
    """Returns the task of a run that was found, as `open_trained` does."""
    run, read = found.run, read_checkpoint(found.directory, found.name)
    record = record_of(read, run)
    world = World(0, 1, pick_device(device or run.trainer.device, 1))
    return load_into(build_task(run, record), run, world, read, record)


def load_into(
    task: TaskT, run: Run, world: World, read: checkpoint.Checkpoint, record: Record
) -> Trained[TaskT]:
    """Distributes `task` over the ranks of `world` and loads the weights of a checkpoint (collective).

    Raises CheckpointError if they are those of another network.
    """
    distribute_task(task, run, world)
    differences = load_for_inference(task, run, read)
    return Trained(
        task=task.eval(),
        run=run,
        record=record,
        directory=read.directory,
        step=int(read.meta["step"]),
        averaged=read.has_average,
        differences=tuple(differences),
        device=world.device,
        postprocessing=world.on_main(lambda: read_chosen(read.directory.parent)),
    )

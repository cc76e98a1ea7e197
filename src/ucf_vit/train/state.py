"""All that changes while a run trains."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ucf_vit.checkpoint import AVERAGED, OPTIMIZER, WEIGHTS
from ucf_vit.config.sections.trainer import Trainer
from ucf_vit.data.loader.stream import Stream
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.train.data_record import Record
from ucf_vit.train.inputs import used_items
from ucf_vit.train.inputs.used_items import UsedItems
from ucf_vit.train.optimization.ema import Ema
from ucf_vit.train.optimization.loss_scale import LossScale
from ucf_vit.train.optimization.optimizer import optimizer_moments


@dataclass
class State:
    """A run at one moment; `tensors`, `state_dict` and `load_state_dict` move it through a checkpoint.

    `replica` is what a training step calls: the task, or its distributed wrapper. `step` counts optimizer
    steps; the learning rate is a function of it. `best` is the best validation result so far and `stale`
    the number of validations since; `unjudged` says that the last one had no finite value. `ema` is the
    average of the weights, None where none is kept. `shift` is how many steps more than `steps_per_epoch` an
    epoch the epochs so far have, where that number changed. `held_out` stands for the items that `best` is a
    result on. `record` is what the weights depend on beside the config, `items` which items they were trained
    on.
    """

    task: Task
    replica: nn.Module
    optimizer: torch.optim.Optimizer
    scale: LossScale
    stream: Stream
    world: World
    steps_per_epoch: int = 0
    total_steps: int = 0
    step: int = 0
    best: float | None = None
    stale: int = 0
    unjudged: bool = False
    slot: str = ""
    bad_losses: int = 0
    ema: Ema | None = None
    shift: int = 0
    held_out: str = ""
    record: Record = field(default_factory=Record)
    items: UsedItems | None = None

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.stream.epoch

    def count(self, trainer: Trainer) -> None:
        """Set the steps of an epoch and of the run, from those done and the batches left of this epoch."""
        size = trainer.accumulate_steps
        self.steps_per_epoch = math.ceil(len(self.stream) / size)
        ends = self.step + math.ceil(self.stream.left / size)
        self.shift = ends - (self.epoch + 1) * self.steps_per_epoch
        steps = trainer.max_epochs * self.steps_per_epoch + self.shift
        self.total_steps = min(steps, trainer.max_steps or steps)

    def averaged(self) -> AbstractContextManager[None]:
        """A context in which `task` has the weights to judge it by: averaged ones where there are some."""
        return nullcontext() if self.ema is None else self.ema.averaged(self.task)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Weights, their average and moments, by kind and name; of what is spread, this process's parts."""
        return {
            WEIGHTS: self.task.state_dict(),
            AVERAGED: {} if self.ema is None else self.ema.weights,
            OPTIMIZER: optimizer_moments(self.task, self.optimizer),
        }

    def state_dict(self) -> dict[str, Any]:
        """All but what is in `tensors`, as plain values, the same on every rank but for the items.

        There is no state of a random generator among them: each step seeds its own, see `train_step`.
        """
        return {
            "scale": self.scale.state_dict(),
            "stream": self.stream.state_dict(),
            "step": self.step,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "best": self.best,
            "stale": self.stale,
            "held_out": self.held_out,
            "ema": self.ema and self.ema.state_dict(),
            used_items.KEY: {} if self.items is None else self.items.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.stream.load_state_dict(saved["stream"])
        self.scale.load_state_dict(saved.get("scale", {}))
        self.step = saved["step"]
        if saved.get("held_out", self.held_out) == self.held_out:
            self.best, self.stale = saved["best"], saved["stale"]

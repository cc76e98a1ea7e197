"""State of a training run."""

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
from ucf_vit.training import data_record
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs import used_items
from ucf_vit.training.inputs.used_items import UsedItems
from ucf_vit.training.optimization.ema import Ema
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.optimization.optimizer import optimizer_moments


@dataclass
class State:
    """Everything that changes during training; `tensors` and `state_dict` are saved in checkpoints.

    `replica` is the module that a training step calls: the task, or its distributed wrapper. `step` counts
    optimizer steps; the learning rate is a function of it. `best` is the best validation result so far and
    `stale` the number of validations since then; `unjudged` is True if the last one had no finite value.
    `ema` is the average of the weights, None without averaging. `shift` is the number of steps that the
    epochs so far had beyond `steps_per_epoch` each; it differs from 0 if a resumed run changed that number.
    `held_out` is a digest of the items that `best` was measured on. `record` holds the facts about the data
    that the weights depend on, `items` the items that they were trained on.
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
        """Number of finished epochs."""
        return self.stream.epoch

    def count(self, trainer: Trainer) -> None:
        """Sets the steps per epoch and of the run, from the steps done and the batches left in this epoch."""
        size = trainer.accumulate_steps
        self.steps_per_epoch = math.ceil(len(self.stream) / size)
        ends = self.step + math.ceil(self.stream.left / size)
        self.shift = ends - (self.epoch + 1) * self.steps_per_epoch
        steps = trainer.max_epochs * self.steps_per_epoch + self.shift
        self.total_steps = min(steps, trainer.max_steps or steps)

    def averaged(self) -> AbstractContextManager[None]:
        """Returns a context in which `task` has the averaged weights, if there are any."""
        return nullcontext() if self.ema is None else self.ema.averaged(self.task)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Returns weights, averaged weights and moments by kind and name; of a sharded tensor its shard."""
        return {
            WEIGHTS: self.task.state_dict(),
            AVERAGED: {} if self.ema is None else self.ema.weights,
            OPTIMIZER: optimizer_moments(self.task, self.optimizer),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns the rest of the state as plain values; except for the items it is the same on every rank.

        It holds no state of random generators, since each step seeds them, see `train_step`.
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
            data_record.SPLITS: data_record.splits_state(self.record.splits),
            used_items.KEY: {} if self.items is None else self.items.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restores the values that `state_dict` returned."""
        self.stream.load_state_dict(saved["stream"])
        self.scale.load_state_dict(saved.get("scale", {}))
        self.step = saved["step"]
        if saved.get("held_out", self.held_out) == self.held_out:
            self.best, self.stale = saved["best"], saved["stale"]

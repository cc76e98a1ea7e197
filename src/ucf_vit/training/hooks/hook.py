"""Base class of hooks, which the training loop calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ucf_vit.data.batch import Batch
from ucf_vit.tasks.task import Loss, RunState

__all__ = ["Hook", "RunState"]


class Hook:
    """Base class of hooks. Its methods do nothing; a hook overrides those that it needs.

    In order: `on_start` is called once, `on_forward` for each batch, `on_step` after each logged step,
    `on_validation` and `on_save` after each validation and checkpoint, and at last `on_end`, `on_stop` or
    `on_error`.

    Metrics are plain numbers by name. Those of a step are "loss", "lr", "grad_norm", "samples_per_s",
    "data_wait" (fraction of the time, in [0, 1]) and "tile_seconds/NAME" (seconds per tile of data set NAME);
    those of a validation are "validation/loss", "validation/dice_1" and so on.

    The constructor of a hook that `trainer.hooks` names may have the parameters `directory` (of the run),
    `run` (the config) and `world` (the processes of the run).
    """

    every_rank: ClassVar[bool] = False
    """Whether the hook is called on every rank, including `on_forward`; otherwise only on the first rank."""

    last: ClassVar[bool] = False
    """Whether the hook is called after all others, since it needs the files that they write."""

    def on_start(self, state: RunState) -> None:
        """Called before the first step of this process; `state.step` > 0 if the run is resumed."""

    def on_forward(self, state: RunState, batch: Batch, loss: Loss) -> None:
        """Called after the forward pass of a batch, for hooks with `every_rank`.

        `batch` is this rank's batch on its device, augmented and noised; `loss` is the detached result of the
        task. Reading a value off the device (`.item()`) stalls the step.
        """

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Called after a logged step."""

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Called after a validation."""

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """Called after the checkpoint `name` was saved, which stalled training for `seconds`."""

    def on_end(self, state: RunState) -> None:
        """Called after the last step; not if a signal or an error ended the run."""

    def on_stop(self, state: RunState) -> None:
        """Called when a signal ends the run, after its checkpoint was saved; only seconds may be left."""

    def on_error(self, state: RunState, error: Exception) -> None:
        """Called when an exception ends the run, before it is raised; other ranks may be gone already."""

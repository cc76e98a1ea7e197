"""Base class of hooks: the training loop calls them at the moments that it defines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ucf_vit.data.batch import Batch
from ucf_vit.tasks.task import Loss, RunState

__all__ = ["Hook", "RunState"]


class Hook:
    """Base class whose methods do nothing; a hook overrides those that it needs.

    In the order in which they are called: `on_start` once, `on_forward` for each batch, `on_step` after steps
    that are logged, `on_validation` and `on_save` when they happen, and `on_end` or `on_error` once. After a
    signal the run is saved, and neither of these two is called.

    Metrics are plain numbers by name: "loss", "lr", "grad_norm", "samples_per_s", "data_wait" (share of
    the time in [0, 1]) and "tile_seconds/NAME" (time of a tile of data set NAME) of a step,
    "validation/loss", "validation/dice_1" and so on of a validation.

    A hook that `trainer.hooks` names gets those of the arguments `directory` (of the run), `run` (its config)
    and `world` (its processes) that its constructor has.
    """

    every_rank: ClassVar[bool] = False
    """Whether the hook is called on every rank, also at `on_forward`; otherwise on the first rank only."""

    def on_start(self, state: RunState) -> None:
        """Before the first step of this process; `state.step` > 0 when the run is resumed."""

    def on_forward(self, state: RunState, batch: Batch, loss: Loss) -> None:
        """After the forward pass of a batch, for hooks with `every_rank`.

        `batch` is this rank's part as drawn, on its device, `loss` what the task returned for it, without the
        graph. Reading a value off the device here (`.item()`) holds up the step.
        """

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """After a step that is logged."""

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """After a validation."""

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """After the checkpoint `name` was saved, for which the run stood still for `seconds`."""

    def on_end(self, state: RunState) -> None:
        """After the last step; not when a signal or an error ended the run."""

    def on_error(self, state: RunState, error: Exception) -> None:
        """When an exception ends the run, before it is raised; other ranks may be gone already."""

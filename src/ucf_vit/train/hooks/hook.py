"""What a hook is: the training loop calls it, on the first process, at five moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ucf_vit.tasks.task import Task


class RunState(Protocol):
    """What hooks see of a run: `step` optimizer steps and `epoch` whole epochs are done."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""

    @property
    def epoch(self) -> int:
        """Epochs finished."""

    @property
    def total_steps(self) -> int:
        """Optimizer steps after which the run ends."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""

    @property
    def shift(self) -> int:
        """Steps that the epochs so far have more than `steps_per_epoch` each, where that number changed."""

    @property
    def task(self) -> Task:
        """The root module, not its distributed wrapper."""

    def averaged(self) -> AbstractContextManager[None]:
        """A context in which `task` has the weights to judge it by: averaged ones where there are some."""


class Hook:
    """Base class whose methods do nothing; a hook overrides those that it needs.

    Metrics are plain numbers by name: "loss", "lr", "grad_norm", "samples_per_s", "data_wait" (share of
    the time in [0, 1]) and "tile_seconds/NAME" (time of a tile of data set NAME) of a step,
    "validation/loss", "validation/dice_1" and so on of a validation.
    """

    def on_start(self, state: RunState) -> None:
        """Before the first step of this process; `state.step` > 0 when the run is resumed."""

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """After a step that is logged."""

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """After a validation."""

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """After the checkpoint `name` was saved, for which the run stood still for so long."""

    def on_end(self, state: RunState) -> None:
        """After the last step; not when a signal or an error ended the run."""

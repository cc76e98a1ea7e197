"""Hook that draws pictures of a run: adaptive patches, curves, and predictions on a held-out batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.log import get_logger
from ucf_vit.drawing.curves import draw_curves
from ucf_vit.drawing.panels import draw_panels
from ucf_vit.drawing.patches import draw_examples
from ucf_vit.parallel.shard import gathered_weights
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.hooks.jsonl import METRICS, read_metrics
from ucf_vit.training.run_directory import claim

if TYPE_CHECKING:
    from ucf_vit.data.batch import Batch
    from ucf_vit.tasks.task import Panel, Task

PICTURES = "pictures"
EXAMPLE = "example"
"""Name of the picture with the task's panels."""
PATCHES = "patches"
"""Prefix of the names of pictures of adaptive patches."""

log = get_logger(__name__)


class PicturesHook(Hook):
    """Draws `directory/pictures` after each validation and at the end; comes after JsonlHook.

    `sample` returns the held-out batch to draw; without it, or if it returns None, only curves are drawn.
    `examples` yields one tile of each data set, whose adaptive patches are drawn once, at the start.
    `class_names` are the names of the classes of pixels, by number. If a picture cannot be drawn, for
    whatever reason, a warning is logged and training continues.
    """

    def __init__(
        self,
        directory: Path,
        sample: Callable[[], Batch | None] | None = None,
        examples: Callable[[], Iterable[Batch]] | None = None,
        class_names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.class_names = class_names
        self.sample = sample
        self.examples = examples
        self._batch: Batch | None = None
        self._drawn_at = -1

    def on_start(self, state: RunState) -> None:
        """Draws the patches of one tile of each data set, if the model takes adaptive patches."""
        patcher, examples = state.task.patcher, self.examples
        if patcher is not None and examples is not None:
            self._write(
                "patches",
                lambda: {f"{PATCHES}_{one.name}.png": one.png for one in draw_examples(examples(), patcher)},
            )

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Draws all pictures again."""
        self._draw(state)

    def on_end(self, state: RunState) -> None:
        """Draws all pictures again unless a validation at this step has just done so."""
        if self._drawn_at != state.step:
            self._draw(state)

    def _draw(self, state: RunState) -> None:
        self._drawn_at = state.step
        entries, task = read_metrics(self.directory / METRICS), state.task
        titles = task.titles(self.class_names)
        self._write("curves", lambda: draw_curves(entries, titles, task.class_metrics))
        if self.sample is not None:
            self._batch = self._batch or self.sample()
        if (batch := self._batch) is not None:
            self._write("example", lambda: _example(_panels(state, batch), self.class_names))

    def _write(self, subject: str, draw: Callable[[], dict[str, bytes]]) -> None:
        try:
            files = draw()
            claim(self.directory, *(f"{PICTURES}/{name}" for name in files))
            for name, data in files.items():
                write_atomic(self.directory / PICTURES / name, data)
        except Exception as cause:  # whatever it is, training continues
            log.warning("no picture of the %s: %s: %s", subject, type(cause).__name__, cause)
            log.debug("where it failed", exc_info=True)


def picture_files(directory: Path) -> dict[Path, Path | None]:
    """Returns the PNG files of the pictures of a run, each with its version for dark pages, if it has one."""
    files = sorted((directory / PICTURES).glob("*.png"))
    dark = {one: one.with_stem(f"{one.stem}_dark") for one in files if one.with_suffix(".svg").exists()}
    dark = {one: other for one, other in dark.items() if other in files}
    return {one: dark.get(one) for one in files if one not in dark.values()}


class PicturesPeer(Hook):
    """Takes part in the forward passes of `PicturesHook` on the other ranks, for a sharded model.

    `sample` returns the same batch on all ranks.
    """

    def __init__(self, sample: Callable[[], Batch | None]) -> None:
        self.sample = sample
        self._batch: Batch | None = None
        self._drawn_at = -1

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Computes the panels."""
        self._compute(state)

    def on_end(self, state: RunState) -> None:
        """Computes the panels unless a validation at this step has just done so."""
        if self._drawn_at != state.step:
            self._compute(state)

    def _compute(self, state: RunState) -> None:
        self._drawn_at = state.step
        self._batch = self._batch or self.sample()
        if self._batch is None:
            return
        try:
            _panels(state, self._batch)
        except Exception:  # the first rank logs it as a warning
            log.debug("no picture", exc_info=True)


def _example(panels: list[Panel], class_names: Mapping[int, str]) -> dict[str, bytes]:
    return draw_panels(EXAMPLE, panels, class_names) if panels else {}


def _panels(state: RunState, batch: Batch) -> list[Panel]:
    with state.averaged():
        return task_panels(state.task, batch)


def task_panels(task: Task, batch: Batch) -> list[Panel]:
    """Returns the panels of `task` for `batch`, computed in evaluation mode on the task's device."""
    training = task.training
    device = next(task.parameters()).device
    try:
        with torch.no_grad(), gathered_weights(task):
            return task.eval().pictures(batch.to(device))
    finally:
        task.train(training)

"""Hook `tensorboard`: records a run in event files, which `tensorboard --logdir runs` shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ucf_vit.config import Run, dump
from ucf_vit.core.errors import UserError
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.hooks.pictures import picture_files
from ucf_vit.training.run_directory import claim

FOLDER = "tensorboard"


class TensorboardHook(Hook):
    """Writes metrics, pictures and the config to event files in `directory/tensorboard`.

    When a run is resumed, TensorBoard drops what was written after its checkpoint.

    Args:
        directory: directory of the run.
        run: config of the run.
    """

    last = True

    def __init__(self, directory: Path, run: Run) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "trainer.hooks tensorboard needs tensorboard: pip install 'ucf-vit[tensorboard]'"
            ) from None
        self.directory, self.run, self._open = directory, run, SummaryWriter

    def on_start(self, state: RunState) -> None:
        """Opens a new event file; that of a run that is resumed follows on the former ones."""
        claim(self.directory, FOLDER)
        purge = state.step + 1 if state.step else None
        self.writer = self._open(str(self.directory / FOLDER), purge_step=purge, flush_secs=10)
        config = "".join(f"    {line}\n" for line in dump(self.run).splitlines())
        self.writer.add_text("config", config, state.step)

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of a step."""
        self._write(state, metrics)

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Writes the metrics and pictures of a validation."""
        self._write(state, metrics)
        for path in picture_files(self.directory):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self.writer.add_image(path.stem, pixels, state.step, dataformats="HWC")

    def on_end(self, state: RunState) -> None:
        """Closes the event file."""
        self.writer.close()

    def on_stop(self, state: RunState) -> None:
        """Closes the event file."""
        self.writer.close()

    def on_error(self, state: RunState, error: Exception) -> None:
        """Closes the event file."""
        if hasattr(self, "writer"):
            self.writer.close()

    def _write(self, state: RunState, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            if name != "step":
                self.writer.add_scalar(name, float(value), state.step)

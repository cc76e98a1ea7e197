"""Hook that shows progress: a bar on a terminal, else a greppable line every ten seconds."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ucf_vit.core.log import FILE_ONLY, get_logger, terminal
from ucf_vit.training.hooks.hook import Hook, RunState

log = get_logger(__name__)
SECONDS = 10.0
"""Least time between two lines of steps on standard output that is no terminal."""


class ProgressHook(Hook):
    """Shows step, epoch, loss, learning rate, samples per second, data wait and remaining time.

    The log file has a line per logged step. With a `console` (default: standard output if it is a terminal) a
    bar shows the same; without one, lines of the first and the last step and one every `SECONDS` between them
    go to standard output. The remaining time is estimated from the
    speed since the first logged step of this process, including validations and checkpoints.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or terminal()
        self._bar = None if console is None else _Bar(console)
        self._started = time.monotonic()
        self._clock: tuple[int, float] | None = None
        self._shown: float | None = None

    def on_start(self, state: RunState) -> None:
        """Logs the first step and opens the bar."""
        begin = f"resumed at step {state.step}" if state.step else "started"
        log.info("%s: %d steps, %d per epoch", begin, state.total_steps, state.steps_per_epoch)
        self._started = time.monotonic()
        if self._bar is not None:
            self._bar.open(state.step, state.total_steps)

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Shows a logged step."""
        remaining = self._remaining_seconds(state)
        eta = "-:--:--" if remaining is None else duration(remaining)
        fields = {
            "step": f"{state.step}/{state.total_steps}",
            "epoch": _epoch(state),
            **_texts({name: value for name, value in metrics.items() if "/" not in name}),
            "eta": eta,
        }
        log.info(_pairs(fields), extra=None if self._is_due(state) else FILE_ONLY)
        if self._bar is not None:
            self._bar.show(state.step, fields)

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Logs the results of a validation."""
        names = {name.removeprefix("validation/"): value for name, value in metrics.items()}
        log.info("validation step=%d epoch=%d %s", state.step, state.epoch, _pairs(_texts(names)))

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """Logs how long a checkpoint stalled training."""
        log.info("saved %s at step=%d, stall %.2g s", name, state.step, seconds)

    def on_end(self, state: RunState) -> None:
        """Closes the bar and logs the duration."""
        if self._bar is not None:
            self._bar.close()
        log.info("finished at step %d after %s", state.step, duration(time.monotonic() - self._started))

    def _is_due(self, state: RunState) -> bool:
        """Returns whether the line of this step is shown besides being written to the file."""
        now = time.monotonic()
        recent = self._shown is not None and now - self._shown < SECONDS
        if self._bar is not None or (recent and state.step < state.total_steps):
            return False
        self._shown = now
        return True

    def _remaining_seconds(self, state: RunState) -> float | None:
        now = time.monotonic()
        if self._clock is None:
            self._clock = (state.step, now)
        step, since = self._clock
        remaining = max(0, state.total_steps - state.step)
        if remaining == 0:
            return 0.0
        return None if state.step <= step else (now - since) / (state.step - step) * remaining


class _Bar:
    """Progress bar without a refresh thread, which would not survive a fork of the process."""

    def __init__(self, console: Console) -> None:
        text = "{task.fields[text]}"
        columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn(text, markup=False))
        self._progress = Progress(*columns, console=console, auto_refresh=False)
        self._finalizer = weakref.finalize(self, self._progress.stop)

    def open(self, step: int, total: int) -> None:
        self._task = self._progress.add_task("", completed=step, total=total, text="")
        self._progress.start()
        self._progress.refresh()

    def show(self, step: int, fields: Mapping[str, str]) -> None:
        short = {
            "samples_per_s": "{}/s",
            "data_wait": "wait {}",
            "loss": "loss {}",
            "lr": "lr {}",
            "eta": "eta {}",
        }
        texts = [form.format(fields[name]) for name, form in short.items() if name in fields]
        self._progress.update(self._task, completed=step, text="  ".join(texts), refresh=True)

    def close(self) -> None:
        self._progress.stop()


def duration(seconds: float) -> str:
    """Returns `seconds` as text `h:mm:ss`."""
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{remainder:02}"


def _epoch(state: RunState) -> str:
    """Returns the epoch of the last step, from 1, and the number of epochs, as `2/100`."""
    size = max(1, state.steps_per_epoch)
    last, total = state.step - state.shift - 1, state.total_steps - state.shift
    return f"{max(0, last) // size + 1}/{-(-total // size)}"


def _texts(metrics: Mapping[str, float]) -> dict[str, str]:
    formats = {"lr": "{:.2e}", "data_wait": "{:.0%}", "samples_per_s": "{:.4g}"}
    names = [name for name in metrics if name not in ("step", "epoch")]
    return {name: formats.get(name, "{:.4g}").format(float(metrics[name])) for name in names}


def _pairs(fields: Mapping[str, str]) -> str:
    return " ".join(f"{name}={text}" for name, text in fields.items())

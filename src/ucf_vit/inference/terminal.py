"""Progress of predictions: a bar with the remaining time on a terminal, else a line per file."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ucf_vit.core.log import say, terminal
from ucf_vit.training.hooks.progress import duration


class Display:
    """Context that shows how many of `voxels` in `count` items are done; nothing unless `shown`.

    Without `lines` there is only the bar, on a terminal.
    """

    def __init__(self, count: int, voxels: int, shown: bool = True, lines: bool = True) -> None:
        self._lines = shown and lines
        self._count, self._voxels = count, voxels
        self._items = self._done = 0
        self._began = time.monotonic()
        console = terminal() if shown else None
        columns = (BarColumn(), TextColumn("{task.fields[text]}", markup=False), TimeRemainingColumn())
        self._bar = None if console is None else Progress(*columns, console=console, auto_refresh=False)
        if self._bar is not None:
            self._task = self._bar.add_task("", total=voxels, text=f"0/{count}")

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, voxels: int) -> None:
        """Counts voxels of the item that is predicted."""
        self._done += voxels
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, refresh=True)

    def end(self, name: str, result: str, voxels: int) -> None:
        """Shows an item that is done or failed; `voxels` are those of it that were not counted."""
        self._items += 1
        self.advance(voxels)
        if self._bar is not None:
            self._bar.update(self._task, text=f"{self._items}/{self._count}  {name}", refresh=True)
            return
        if not self._lines:
            return
        left = (time.monotonic() - self._began) / max(self._done, 1) * (self._voxels - self._done)
        remaining = f", {duration(left)} left" if self._items < self._count else ""
        say(f"{self._items}/{self._count} {name}: {result}{remaining}")

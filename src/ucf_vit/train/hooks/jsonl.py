"""`metrics.jsonl`: one JSON object per logged step, validation and checkpoint."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.atomic_files import naming, write_atomic
from ucf_vit.train.hooks.hook import Hook, RunState

METRICS = "metrics.jsonl"


class JsonlHook(Hook):
    """Appends to `directory/metrics.jsonl` and flushes each line.

    A line has "event" ("step", "validation" or "save"), "step", "epoch", "elapsed" (seconds of training,
    over all processes that a run was resumed in) and the metrics (of a save "checkpoint", its name, and
    "stall", the seconds for which training stood still); a number that is not finite is null. Lines
    that a killed run wrote after the checkpoint that it is resumed from are cut: no step is there twice.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / METRICS
        self._written: dict[str, int] = {}
        self._started = time.monotonic()

    def on_start(self, state: RunState) -> None:
        """Keep the lines up to the step that the run starts from; none when it starts anew."""
        kept = [line for line in read_metrics(self.path) if 0 < state.step >= line["step"]]
        write_atomic(self.path, "".join(map(_to_json, kept)))
        self._written = {line["event"]: line["step"] for line in kept}
        self._started = time.monotonic() - (kept[-1]["elapsed"] if kept else 0.0)

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Append the metrics of a step."""
        self._append("step", state, metrics)

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Append the metrics of a validation."""
        self._append("validation", state, metrics)

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """Append how long the run stood still for a checkpoint."""
        self._append("save", state, {"stall": seconds}, checkpoint=name)

    def _append(self, event: str, state: RunState, metrics: Mapping[str, float], **more: str) -> None:
        if not more and state.step <= self._written.get(event, -1):
            return
        elapsed = round(time.monotonic() - self._started, 3)
        line = {"event": event, "step": state.step, "epoch": state.epoch, "elapsed": elapsed, **more}
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_to_json({**metrics, **line}, first=tuple(line)))
        self._written[event] = state.step


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The objects in a `metrics.jsonl`, null as NaN; none where there is no file.

    A last line that was cut short by a kill is left out. Raises DataError naming the file and line for
    any other line that is not a JSON object.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = dict(json.loads(line))
        except (ValueError, TypeError) as cause:
            if number == len(lines):
                break
            raise DataError(f"{path}, line {number}: not a JSON object ({cause}); remove the line") from None
        entries.append({key: math.nan if value is None else value for key, value in entry.items()})
    return entries


def _to_json(entry: Mapping[str, Any], first: tuple[str, ...] = ()) -> str:
    ordered = {key: _plain(entry[key]) for key in dict.fromkeys((*first, *entry))}
    return json.dumps(ordered, allow_nan=False) + "\n"


def _plain(value: Any) -> str | int | float | None:
    if isinstance(value, str | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None

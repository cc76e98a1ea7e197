"""Hook that writes `metrics.jsonl`: one JSON object per logged step, validation and checkpoint."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.atomic_files import naming, write_atomic
from ucf_vit.training.hooks.hook import Hook, RunState

METRICS = "metrics.jsonl"


class JsonlHook(Hook):
    """Appends to `directory/metrics.jsonl` and flushes each line.

    A line has "event" ("step", "validation" or "save"), "step", "epoch", "elapsed" (seconds of training,
    including those before the run was resumed) and the metrics; a save has "checkpoint" (its name) and
    "stall" (seconds for which training stood still). A number that is not finite is null. When a run is
    resumed, lines after its checkpoint are removed, so that no step occurs twice.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / METRICS
        self._written: dict[str, int] = {}
        self._started = time.monotonic()

    def on_start(self, state: RunState) -> None:
        """Removes lines after the step that the run resumes from; all lines of a new run."""
        former = [line for line in read_metrics(self.path) if 0 < state.step >= line["step"]]
        write_atomic(self.path, "".join(map(_to_json, former)))
        self._written = {line["event"]: line["step"] for line in former}
        self._started = time.monotonic() - (former[-1]["elapsed"] if former else 0.0)

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Appends the metrics of a step."""
        self._append("step", state, metrics)

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Appends the metrics of a validation."""
        self._append("validation", state, metrics)

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """Appends the name of a checkpoint and how long it stalled training."""
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
    """Returns the objects in a `metrics.jsonl`, with null as NaN; an empty list if there is no file.

    A last line that a kill cut short is ignored. Raises DataError naming the file and line for any other line
    that is not a JSON object.
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

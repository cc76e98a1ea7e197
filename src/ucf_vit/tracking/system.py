"""Load of the machine: processors, memory and GPU, by the names under which MLflow shows them."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil
import torch

SECONDS = 10.0
"""Least time between two measurements."""
_MEGABYTE = 2**20


class SystemMetrics:
    """Measures the machine of this process, at most every ten seconds.

    Args:
        device: the device that trains.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._process = psutil.Process()
        self._last: float | None = None
        psutil.cpu_percent()  # the first call has nothing to compare with

    def measure(self) -> dict[str, float]:
        """Returns the metrics since the last call; empty if that was less than ten seconds ago."""
        now = time.monotonic()
        if self._last is not None and now - self._last < SECONDS:
            return {}
        self._last = now
        memory = psutil.virtual_memory()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system/system_memory_usage_percentage": memory.percent,
            "system/process_memory_usage_megabytes": self._process.memory_info().rss / _MEGABYTE,
            **(self._gpu() if self.device.type == "cuda" else {}),
        }

    def _gpu(self) -> dict[str, float]:
        index = self.device.index or 0
        prefix = f"system/gpu_{index}_"
        free, total = torch.cuda.mem_get_info(index)
        found = {
            f"{prefix}memory_usage_megabytes": (total - free) / _MEGABYTE,
            f"{prefix}memory_usage_percentage": 100 * (total - free) / total,
        }
        with suppress(RuntimeError, ImportError):  # not every driver tells
            found[f"{prefix}utilization_percentage"] = float(torch.cuda.utilization(index))
            found[f"{prefix}power_usage_watts"] = torch.cuda.power_draw(index) / 1000
        return found

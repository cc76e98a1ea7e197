"""A run for processes that each hold the whole network."""

from __future__ import annotations

from ucf_vit.config import Run
from ucf_vit.config.sections.parallelism import SIZES


def in_mode_simple(run: Run) -> Run:
    """Returns `run` for any number of processes with the whole network each, whatever it was trained on."""
    sizes = {**dict.fromkeys(SIZES, 1), "simple_ddp_size": -1}
    parallelism = run.parallelism.model_copy(update={**sizes, "mode": "simple"})
    balancing = run.load_balancing.model_copy(update={"auto_load_balancing": True})
    return run.model_copy(update={"parallelism": parallelism, "load_balancing": balancing})

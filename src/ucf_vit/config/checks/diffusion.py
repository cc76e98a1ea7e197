"""Checks of diffusion."""

from __future__ import annotations

from collections.abc import Iterator

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

FEWEST_LINEAR = 25
"""Steps of noise that the linear schedule needs, see `ucf_vit.diffusion.schedule`."""


def steps(run: Run) -> Iterator[Problem]:
    """The linear schedule would add all noise in the first few of too few steps."""
    model = run.model
    if run.task == "diffusion" and model.noise_schedule == "linear" and model.num_time_steps < FEWEST_LINEAR:
        message = f"expected {FEWEST_LINEAR} or more for noise_schedule linear; cosine takes any number"
        yield Problem(("model", "num_time_steps"), message, model.num_time_steps)


def conditions(run: Run) -> Iterator[Problem]:
    """Each condition once."""
    given = run.model.conditions
    if len(set(given)) < len(given):
        yield Problem(("model", "conditions"), "a condition is there twice; remove one", given)

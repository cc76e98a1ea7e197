"""Checks of section `diffusion`."""

from __future__ import annotations

from collections.abc import Iterator

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.options.noise import MIN_STEPS


def steps(run: Run) -> Iterator[Problem]:
    """Checks the number of steps: with too few, the linear schedule adds all noise in the first ones."""
    kind, steps = run.diffusion.noise_schedule, run.diffusion.num_time_steps
    if run.task_facts.network_output == "denoised image" and steps < MIN_STEPS[kind]:
        message = f"expected {MIN_STEPS[kind]} or more for noise_schedule {kind}; cosine takes any number"
        yield Problem(("diffusion", "num_time_steps"), message, steps)


def conditions(run: Run) -> Iterator[Problem]:
    """Checks that each condition occurs once."""
    given = run.diffusion.conditions
    if len(set(given)) < len(given):
        yield Problem(("diffusion", "conditions"), "a condition occurs twice; remove one", given)

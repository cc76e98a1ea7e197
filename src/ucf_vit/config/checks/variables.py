"""Checks of section `variables`."""

from __future__ import annotations

from collections.abc import Iterator

from ucf_vit.config.checks.adaptive import warn_unused
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

KEYS = ("variables.aggregation", "variables.aggregation_group", "variables.aggregation_partial")
"""Keys that have no effect without variable aggregation."""


def unused(run: Run) -> Iterator[Problem]:
    """Warns of keys without effect."""
    if not run.variables.use_varemb:
        warn_unused(run, KEYS, f"{run.name_of('variables.use_varemb')} is false")
    elif run.adaptive.adaptive_patching and run.adaptive.separate_channels:
        separate = run.name_of("adaptive.separate_channels")
        warn_unused(run, KEYS, f"with {separate} every token is of one variable")
    elif run.variables.aggregation == "cross":
        warn_unused(run, KEYS[1:], f"{run.name_of('variables.aggregation')} is cross")
    yield from ()

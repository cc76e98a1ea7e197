"""Checks of variable aggregation."""

from __future__ import annotations

from collections.abc import Iterator

from ucf_vit.config.checks.adaptive import say_unused
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

KEYS = ("aggregation", "aggregation_group", "aggregation_partial")
"""Keys of section `model` that variable aggregation alone reads."""


def unused(run: Run) -> Iterator[Problem]:
    """Keys without effect may be there, but not without a word."""
    model = run.model
    if not model.use_varemb:
        say_unused(run, KEYS, "model.use_varemb is false")
    elif model.adaptive_patching and model.separate_channels:
        say_unused(run, KEYS, "with model.separate_channels every token is of one variable")
    elif model.aggregation == "cross":
        say_unused(run, KEYS[1:], "model.aggregation is cross")
    yield from ()

"""Checks of keys against each other. A check is a function that yields the problems of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ucf_vit.config.checks import (
    across_sections,
    adaptive,
    data,
    diffusion,
    memory,
    model,
    parallel,
    splits,
    variables,
)
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

Check = Callable[[Run], Iterator[Problem]]

BEFORE_DEFAULTS: tuple[Check, ...] = (data.dataset_names, across_sections.class_counts, model.sides)
"""Checks of the keys as given; default values are filled in after them."""

CHECKS: tuple[Check, ...] = (
    across_sections.sizes,
    parallel.mode,
    parallel.tensor,
    parallel.sequence,
    across_sections.classes_for_task,
    across_sections.pretrained,
    across_sections.checkpoint_names,
    across_sections.groups,
    across_sections.plan,
    across_sections.tracking,
    model.network,
    model.dimensions,
    model.patches,
    model.heads,
    model.stem,
    model.schedule,
    memory.weights,
    memory.batch,
    adaptive.only_adaptive,
    adaptive.leaves,
    adaptive.unused,
    adaptive.detail,
    adaptive.canny,
    adaptive.placement,
    variables.unused,
    diffusion.steps,
    diffusion.conditions,
    data.options,
    data.source,
    splits.ranges,
    splits.whole_sets,
    splits.own_ranges,
    splits.split,
    splits.groups,
    data.variables,
    data.channels,
    data.normalizations,
    data.labels,
)

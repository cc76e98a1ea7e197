"""What keys must be to each other. Every check is a function from a run to its problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ucf_vit.config import (
    check_adaptive,
    check_data,
    check_diffusion,
    check_model,
    check_parallel,
    check_run,
    check_size,
    check_variables,
)
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run

Check = Callable[[Run], Iterator[Problem]]

BEFORE_DEFAULTS: tuple[Check, ...] = (check_data.dataset_names, check_run.class_counts)
"""Checks of what is written; defaults can be filled in when these pass."""

CHECKS: tuple[Check, ...] = (
    check_run.sizes,
    check_parallel.mode,
    check_parallel.tensor,
    check_parallel.sequence,
    check_run.classes_for_task,
    check_run.pretrained,
    check_run.checkpoint_names,
    check_run.groups,
    check_run.plan,
    check_model.dimensions,
    check_model.patches,
    check_model.heads,
    check_model.schedule,
    check_size.weights,
    check_size.batch,
    check_adaptive.sap,
    check_adaptive.leaves,
    check_adaptive.unused,
    check_adaptive.detail,
    check_adaptive.canny,
    check_adaptive.placement,
    check_variables.unused,
    check_diffusion.steps,
    check_diffusion.conditions,
    check_data.options,
    check_data.source,
    check_data.ranges,
    check_data.whole_sets,
    check_data.variables,
    check_data.channels,
    check_data.normalizations,
    check_data.labels,
)

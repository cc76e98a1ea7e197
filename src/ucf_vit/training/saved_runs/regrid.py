"""Weights of a network with other patches or another tile: positions are interpolated, patches are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ucf_vit.checkpoint.shards import Shards
from ucf_vit.config import Run, patch_of
from ucf_vit.core.per_axis import product_of
from ucf_vit.nn.embedding.embed import Positions
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.tasks.task import Task

TIED_TO_PATCH = ("embed", "decoder", "head")
"""Modules of a network whose weights belong to single pixels of a patch."""


def regrid_positions(task: Task, shards: Shards, grid: Sequence[int]) -> dict[str, str]:
    """Interpolates the position tables in `shards`, of patches on `grid`, to the grids that `task` has.

    Returns the interpolated tables: the name, and from which grid to which. Tables of another number of axes
    stay as they are.
    """
    changed = {}
    for module_name, module in task.named_modules():
        name, old = f"{module_name}.table", tuple(grid)
        if type(module) is not Positions or name not in shards or module.grid == old:
            continue
        rows, width = shards.shapes[name]
        if len(old) == len(module.grid) and rows == math.prod(old):
            table = shards.read(name, (0, 0), (rows, width))
            shards.replace(name, interpolate(table, old, module.grid))
            changed[name] = f"{product_of(old)} to {product_of(module.grid)} patches"
    return changed


def reordered_patch(
    task: Task, run: Run, config: Mapping[str, Mapping[str, Any]], without: Sequence[str]
) -> list[str]:
    """Returns the modules of `task` that would read the pixels of a patch in another order than in `config`.

    These are the modules tied to the patch, but for those in `without`, if it has other sides and as many
    pixels: shapes of weights do not show that.
    """
    before = patch_of(config)
    if not run.network_facts.encoder or before == run.patch or math.prod(before) != math.prod(run.patch):
        return []
    last = "head" if run.network_facts.output == "class logits" else ""
    tied = [f"model.{name}" for name in TIED_TO_PATCH if name != last and hasattr(task.model, name)]
    return [name for name in tied if name not in without]

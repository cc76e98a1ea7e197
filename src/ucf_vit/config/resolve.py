"""Default values that depend on other keys."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ucf_vit.config.run import Run
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.config.sections.data import Data
from ucf_vit.config.sections.input import Input
from ucf_vit.config.sections.parallelism import Parallelism
from ucf_vit.config.sections.split import SplitOptions
from ucf_vit.config.sections.trainer import Trainer
from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact, per_axis
from ucf_vit.patching.tree.choose import smallest_leaf
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.registries.networks import NETWORKS, NetworkFacts, network_facts
from ucf_vit.registries.tasks import task_facts

log = logging.getLogger(__name__)
BUFFER = 100
FIXED_LENGTH = {2: 196, 3: 512}


def resolve(run: Run, task: str, name: str) -> Run:
    """Returns the run with all defaults filled in; `name` is the config's, for the output directory."""
    num_classes = run.model.num_classes if run.data.num_classes is None else run.data.num_classes
    network, facts = _network(run, task)
    fixed = facts.positions == "sincos" or run.trainer.use_pretrained_mae_model
    seen = _input(run.input, fixed, len(run.spatial_tile))
    order = run.data.order or ("global" if run.load_balancing.auto_load_balancing else "rank")
    return run.model_copy(
        update={
            "trainer": _trainer(run.trainer, task, name),
            "parallelism": _parallelism(run),
            "model": run.model.model_copy(update={"name": network, "num_classes": num_classes}),
            "input": seen,
            "adaptive": _adaptive(run.adaptive, seen, run.spatial_tile),
            "data": _data(run.data, run.input.default_vars).model_copy(
                update={"num_classes": num_classes, "order": order}
            ),
        }
    )


def _trainer(trainer: Trainer, task: str, name: str) -> Trainer:
    folder = task.rpartition(":")[2]  # the class of a task in a file
    path = trainer.checkpoint_path or str(Path("runs") / folder / Path(name).stem)
    return trainer.model_copy(update={"task": task, "checkpoint_path": path})


def _network(run: Run, task: str) -> tuple[str, NetworkFacts]:
    """Returns the network's name and facts. Raises ConfigError if it is not named or cannot be loaded."""
    name = run.model.name or task_facts(task).network
    if not name:
        known = f"{', '.join(NETWORKS)}, or path/to/file.py:Class"
        raise run.error("model.name", f"missing; task {task} has no network of its own; expected {known}")
    try:
        return name, network_facts(name)
    except UserError as error:
        raise run.error("model.name", str(error), name) from None


def _parallelism(run: Run) -> Parallelism:
    """Returns the section with a mode; established files name none, their scripts do."""
    parallelism = run.parallelism
    if parallelism.mode is not None:
        return parallelism
    cause = parallelism.needs_fsdp()
    if cause:
        log.warning("%s: parallelism.mode is fsdp, because of %s", run.where(f"parallelism.{cause}"), cause)
    return parallelism.model_copy(update={"mode": "fsdp" if cause else "simple"})


def _input(seen: Input, fixed: bool, dims: int) -> Input:
    """Fills in dimensions and positions; with `fixed`, the default of positions is sines and cosines.

    Sides of patches that are all equal become one number.
    """
    filled: dict[str, Any] = {"twoD": len(seen.tile_size) == 2 if seen.twoD is None else seen.twoD}
    if isinstance(seen.patch_size, list):
        filled["patch_size"] = compact(seen.patch_size[:dims])
    if seen.pos_embed == "auto":
        filled["pos_embed"] = "sincos" if fixed else "learned"
    return seen.model_copy(update=filled)


def _adaptive(adaptive: Adaptive, seen: Input, space: tuple[int, ...]) -> Adaptive:
    if not adaptive.adaptive_patching:
        return adaptive
    filled: dict[str, Any] = {"min_leaf": _leaf(adaptive.min_leaf, seen.patch_size, len(space))}
    if adaptive.fixed_length is None:
        filled["fixed_length"] = _length(space, filled["min_leaf"])
    if adaptive.detail == "auto":
        filled["detail"] = "canny" if seen.twoD else "gradient"
    return adaptive.model_copy(update=filled)


def _leaf(min_leaf: int | list[int], patch_size: int | list[int], dims: int) -> int | list[int]:
    """Returns the sides of the smallest leaf, see `smallest_leaf`; the checks refuse what is none.

    One number only with equal sides of the patch: otherwise it would stand for another leaf.
    """
    given = min_leaf[:dims] if isinstance(min_leaf, list) else min_leaf
    try:
        leaf = smallest_leaf(given, per_axis(patch_size, dims, "patch_size"))
    except UserError:
        return min_leaf
    return compact(leaf) if isinstance(patch_size, int) else list(leaf)


def _length(space: tuple[int, ...], min_leaf: int | list[int]) -> int:
    """Returns the largest possible number of tokens up to the usual one; the checks refuse a wrong tile."""
    usual = FIXED_LENGTH[len(space)]
    try:
        return Forest(space, min_leaf).reachable(usual)
    except UserError:
        return usual


def _data(data: Data, default_vars: list[str]) -> Data:
    names = list(data.dict_root_dirs)
    variables = data.dict_in_variables or {name: list(default_vars) for name in names}
    defaults: dict[str, dict[str, Any]] = {
        **_ranges(data, names),
        "dict_buffer_sizes": dict.fromkeys(names, BUFFER),
        "dict_in_variables": variables,
        "num_channels_used": {name: len(variables[name]) for name in names},
        "dict_label_mapping": {name: {} for name in names},
    }
    update = {key: getattr(data, key) or value for key, value in defaults.items()}
    return data.model_copy(update={**update, "split": data.split and _split(data.split, data)})


def _split(split: SplitOptions, data: Data) -> SplitOptions:
    """Fills in the fraction of validation items: 0 if folds, a file or whole data sets define them."""
    others = split.kind == "given" or split.folds is not None or data.validation
    own = (0.0 if others else 0.2) if split.validation is None else split.validation
    return split.model_copy(update={"validation": own})


def _ranges(data: Data, names: list[str]) -> dict[str, dict[str, Any]]:
    """Returns the ranges of files: first training, then validation, then test.

    A data set with its own root for validation takes none from its list unless the config says which.
    """
    nothing, everything = dict.fromkeys(names, 0.0), dict.fromkeys(names, 1.0)
    end = data.dict_end_idx or everything
    test = data.dict_test_start_idx or everything
    start = data.dict_val_start_idx or end
    whole = {} if data.dict_val_start_idx else data.validation
    own = {name: start[name] if name in whole else test[name] for name in names}
    return {
        "dict_start_idx": nothing,
        "dict_end_idx": end,
        "dict_val_start_idx": start,
        "dict_val_end_idx": own,
        "dict_test_start_idx": test,
        "dict_test_end_idx": everything,
    }

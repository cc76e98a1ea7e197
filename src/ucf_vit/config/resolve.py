"""Defaults that depend on other keys."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ucf_vit.config.run import Run
from ucf_vit.config.sections.data import Data
from ucf_vit.config.sections.model import Model
from ucf_vit.config.sections.parallelism import Parallelism
from ucf_vit.config.sections.trainer import TaskName, Trainer
from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.forest import Forest

log = logging.getLogger(__name__)
BUFFER = 100
FIXED_LENGTH = {2: 196, 3: 512}


def resolve(run: Run, task: TaskName, name: str) -> Run:
    """The run with every default filled in; `name` is the config's, for the output directory."""
    num_classes = run.model.num_classes if run.data.num_classes is None else run.data.num_classes
    fixed = task in ("masked", "diffusion") or run.trainer.use_pretrained_mae_model
    model = _model(run.model, num_classes, fixed)
    order = run.data.order or ("global" if run.load_balancing.auto_load_balancing else "rank")
    return run.model_copy(
        update={
            "trainer": _trainer(run.trainer, task, name),
            "parallelism": _parallelism(run),
            "model": model,
            "data": _data(run.data, model).model_copy(update={"num_classes": num_classes, "order": order}),
        }
    )


def _trainer(trainer: Trainer, task: TaskName, name: str) -> Trainer:
    path = trainer.checkpoint_path or str(Path("runs") / task / Path(name).stem)
    return trainer.model_copy(update={"task": task, "checkpoint_path": path})


def _parallelism(run: Run) -> Parallelism:
    """With a mode: files of the established framework name none, their scripts do."""
    parallelism = run.parallelism
    if parallelism.mode is not None:
        return parallelism
    cause = parallelism.needs_fsdp()
    if cause:
        log.warning("%s: parallelism.mode is fsdp, because of %s", run.where(f"parallelism.{cause}"), cause)
    return parallelism.model_copy(update={"mode": "fsdp" if cause else "simple"})


def _model(model: Model, num_classes: int | None, fixed: bool) -> Model:
    """`fixed`: positions are not learned unless the config says so: what starts from a model takes its."""
    flat = len(model.tile_size) == 2 if model.twoD is None else model.twoD
    space = tuple(model.tile_size[:2] if flat else model.tile_size)
    filled: dict[str, Any] = {"twoD": flat, "num_classes": num_classes}
    if model.adaptive_patching and model.fixed_length is None:
        filled["fixed_length"] = _length(space, model.min_leaf)
    if model.adaptive_patching and model.detail == "auto":
        filled["detail"] = "canny" if flat else "gradient"
    if model.pos_embed == "auto":
        filled["pos_embed"] = "sincos" if fixed else "learned"
    return model.model_copy(update=filled)


def _length(space: tuple[int, ...], min_leaf: int) -> int:
    """The most tokens up to what is usual; a tile that has none of these is for the checks."""
    usual = FIXED_LENGTH[len(space)]
    try:
        return Forest(space, min_leaf).reachable(usual)
    except UserError:
        return usual


def _data(data: Data, model: Model) -> Data:
    names = list(data.dict_root_dirs)
    variables = data.dict_in_variables or {name: list(model.default_vars) for name in names}
    defaults: dict[str, dict[str, Any]] = {
        **_ranges(data, names),
        "dict_buffer_sizes": dict.fromkeys(names, BUFFER),
        "dict_in_variables": variables,
        "num_channels_used": {name: len(variables[name]) for name in names},
        "dict_label_mapping": {name: {} for name in names},
    }
    return data.model_copy(update={key: getattr(data, key) or value for key, value in defaults.items()})


def _ranges(data: Data, names: list[str]) -> dict[str, dict[str, Any]]:
    """What trains, validates and tests: training files, then validation files, then test files.

    A data set with a root for validation has no validation files of its own, and the same for test.
    """
    nothing, everything = dict.fromkeys(names, 0.0), dict.fromkeys(names, 1.0)
    end = data.dict_end_idx or everything
    test = data.dict_test_start_idx or everything
    start = data.dict_val_start_idx or end
    own = {name: start[name] if name in data.validation else test[name] for name in names}
    return {
        "dict_start_idx": nothing,
        "dict_end_idx": end,
        "dict_val_start_idx": start,
        "dict_val_end_idx": own,
        "dict_test_start_idx": test,
        "dict_test_end_idx": everything,
    }

"""Builds the task and the network that a config describes, and distributes them over processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ucf_vit.config import Run, decoder_options, encoder_options, input_options
from ucf_vit.core.errors import UserError
from ucf_vit.models import MODELS
from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.initial_weights import materialise
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.shard import Sharding
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks import TASKS, Task
from ucf_vit.training.data_record import Record

log = logging.getLogger(__name__)


def build_task(run: Run, record: Record | None = None) -> Task:
    """Returns the task that the config names, around the network that it describes.

    With the `record` of a checkpoint the task knows the classes and the normalization of the data it was
    trained on; without one, `build_data` sets them. The initial weights depend only on `trainer.seed` and on
    the names of the parameters. In mode fsdp the weights are on device `meta`, without memory:
    `distribute_task` gives each process its part.
    """
    conditions = _condition_values(run, record)
    model = _build_network(run, conditions)
    if run.parallelism.mode == "simple":
        materialise(model, run.trainer.seed, torch.device("cpu"))
    offered = {**_task_options(run), "conditions": conditions, "model": model, "patcher": build_patcher(run)}
    try:
        arguments = TASKS.arguments(run.task, run.trainer.task_options, offered)
    except UserError as error:
        raise run.error("trainer.task_options", str(error), run.trainer.task_options) from None
    task = TASKS[run.task](**arguments)
    if record is not None:
        record.restore(task)
    return task


def build_network(run: Run) -> nn.Module:
    """Returns the network that the config describes, on device `meta` (without memory for its weights)."""
    return _build_network(run, condition_names(run))


def _build_network(run: Run, conditions: Mapping[str, Sequence[str]]) -> nn.Module:
    arguments = network_arguments(run, conditions)
    with torch.device("meta"):
        return MODELS[run.network](**arguments)


def network_arguments(run: Run, conditions: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Returns the arguments for the constructor of the network that the config describes."""
    offered = {
        **run.input.model_dump(),
        **run.model.model_dump(exclude={"name", "options"}),
        "in_channels": run.in_channels,
        "tile_size": run.spatial_tile,
        "token_placement": run.adaptive.token_placement,
        "conditioning": run.diffusion.conditioning,
        "input": input_options(run),
        "encoder": encoder_options(run),
        "decoder": decoder_options(run),
        "condition_counts": [len(names) for names in conditions.values()],
    }
    try:
        return MODELS.arguments(run.network, run.model.options, offered)
    except UserError as refused:
        raise run.error("model.options", str(refused), run.model.options) from None


def _task_options(run: Run) -> dict[str, Any]:
    """Returns the options offered to a task by name; its constructor gets those that it has as parameters."""
    extra = {
        "tile_size": run.spatial_tile,
        "overlap": run.trainer.sliding_window_overlap,
        "ignores": run.data.ignore_label is not None,
        "unit_range": None,
    }
    return run.model.model_dump(exclude={"name", "options"}) | run.diffusion.model_dump() | extra


def _condition_values(run: Run, record: Record | None) -> dict[str, list[str]]:
    """Returns the values of each condition: those in the `record` of a checkpoint, if it has them."""
    recorded = {} if record is None else record.task.get("conditions", {})
    return condition_names(run) | recorded


def distribute_task(task: Task, run: Run, world: World) -> nn.Module:
    """Distributes `task` over the processes of a run, in place; returns the module that a step calls."""
    parallelism, trainer = run.parallelism, run.trainer
    if parallelism.cpu_offloading and world.mesh is None:
        log.warning("parallelism.cpu_offloading changes nothing: this layout shards no weights")
    reduced = trainer.data_type != "float32" and world.device.type != "cpu"
    sharding = Sharding(
        parallelism.reshard_after_forward,
        getattr(torch, trainer.data_type) if reduced else None,
        getattr(torch, parallelism.reduce_type),
        parallelism.cpu_offloading,
    )
    settings = DistributeOptions(sharding, trainer.activation_checkpointing, trainer.compile, trainer.seed)
    return distribute(task, world, settings)


def condition_names(run: Run) -> dict[str, list[str]]:
    """Returns the values of each condition of a diffusion model; a value's index is its number."""
    names = {"class": lambda: [str(number) for number in range(run.num_classes)]}
    return {name: names.get(name, lambda: list(run.datasets))() for name in run.diffusion.conditions}


def build_patcher(run: Run) -> AdaptivePatcher | None:
    """Returns the patcher that cuts images into adaptive patches; None if the model takes a regular grid."""
    options = run.adaptive
    if not options.adaptive_patching:
        return None
    return AdaptivePatcher(
        tile_size=run.spatial_tile,
        patch_size=run.patch,
        fixed_length=run.fixed_length,
        min_leaf=options.min_leaf,
        split_rule=options.split_rule,
        split_threshold=options.split_threshold,
        split_overflow=options.split_overflow,
        separate_channels=options.separate_channels,
        detail=options.detail,
        detail_smoothing=options.detail_smoothing,
        canny_low=options.canny_low,
        canny_high=options.canny_high,
    )

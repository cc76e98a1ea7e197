"""From a config to objects: the task and its network, spread over processes."""

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
from ucf_vit.train.data_record import Record

log = logging.getLogger(__name__)


def build_task(run: Run, record: Record | None = None) -> Task:
    """The task that the config names around the network that it describes.

    Facts of the data are those in the `record` of a checkpoint, or open until `build_data` settles them. Its
    weights are a function of `trainer.seed` and their names. In mode fsdp it is still without memory for
    them, on `meta`: `distributed` gives each process what it is to hold.
    """
    conditions = _conditions(run, record)
    model = _network(run, conditions)
    if run.parallelism.mode == "simple":
        materialise(model, run.trainer.seed, torch.device("cpu"))
    offered = {**_task_options(run), "conditions": conditions, "model": model, "patcher": build_patcher(run)}
    task = TASKS.build(run.task, {}, offered)
    if record is not None:
        record.restore(task)
    return task


def build_network(run: Run) -> nn.Module:
    """Returns the network that the config describes, without memory for its weights, on `meta`."""
    return _network(run, condition_names(run))


def _network(run: Run, conditions: Mapping[str, Sequence[str]]) -> nn.Module:
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
        arguments = MODELS.arguments(run.network, run.model.options, offered)
    except UserError as refused:
        raise run.error("model.options", str(refused), run.model.options) from None
    with torch.device("meta"):
        return MODELS[run.network](**arguments)


def _task_options(run: Run) -> dict[str, Any]:
    """Returns what a task gets if its constructor has a parameter of this name."""
    extra = {
        "tile_size": run.spatial_tile,
        "overlap": run.trainer.sliding_window_overlap,
        "ignores": run.data.ignore_label is not None,
        "unit_range": None,
    }
    return run.model.model_dump(exclude={"name", "options"}) | run.diffusion.model_dump() | extra


def _conditions(run: Run, record: Record | None) -> dict[str, list[str]]:
    """Returns the values of each condition, as in the `record` of a checkpoint where that has them."""
    recorded = {} if record is None else record.task.get("conditions", {})
    return condition_names(run) | recorded


def distributed(task: Task, run: Run, world: World) -> nn.Module:
    """Returns the module to call instead of `task` in a training step, spread over the processes of `run`."""
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
    """The values of each condition that a diffusion model is told, in the order of their numbers."""
    names = {"class": lambda: [str(number) for number in range(run.num_classes)]}
    return {name: names.get(name, lambda: list(run.datasets))() for name in run.diffusion.conditions}


def build_patcher(run: Run) -> AdaptivePatcher | None:
    """Returns the patcher that cuts images into adaptive tokens; None if the model takes images."""
    options = run.adaptive
    if not options.adaptive_patching:
        return None
    return AdaptivePatcher(
        tile_size=run.spatial_tile,
        patch_size=run.input.patch_size,
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

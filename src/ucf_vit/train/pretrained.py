"""Starting from a network that was trained before."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ucf_vit.config import Run
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.registry import nearest
from ucf_vit.models.transfer import transfer
from ucf_vit.parallel.distribute import is_on_meta
from ucf_vit.parallel.initial import materialise
from ucf_vit.parallel.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.train import checkpoint
from ucf_vit.train.checkpoint.locate import find_start
from ucf_vit.train.checkpoint.shards import Shards
from ucf_vit.train.directory import OtherNetworkError, load_for_inference, load_tensors

log = logging.getLogger(__name__)
PREFIX = "model."


def start_from(task: Task, run: Run, world: World) -> None:
    """Begin with the weights in `trainer.start_from`, averaged ones where a checkpoint has some (collective).

    Every process reads the part that it holds. Modules in `trainer.start_without` keep their initial values.
    Raises CheckpointError when the weights are those of another network.
    """
    path = world.on_main(lambda: find_start(run))
    without = _modules(task, run)
    try:
        if path.is_dir():
            load_for_inference(task, run, checkpoint.load(path, world), without)
        else:
            load_tensors(task, [Shards([path])], without)
    except OtherNetworkError as how:
        where = "" if path.is_dir() else f"trainer.start_from {path}: another network than described: "
        names = ", ".join(name.removeprefix(PREFIX) for name in how.reshaped)
        advice = f"; with trainer.start_without=[{names}] these keep their initial values" if names else ""
        raise CheckpointError(f"{where}{how}{advice}") from None
    log.info("starting from the weights in %s", path)
    if without:
        log.info("initial values in %s", ", ".join(run.trainer.start_without))


def _modules(task: Task, run: Run) -> list[str]:
    """Names within `task` of the modules in `trainer.start_without`. ConfigError for one that is none."""
    known = {name for name, one in task.model.named_modules() if name and any(True for _ in one.parameters())}
    for name in run.trainer.start_without:
        if name not in known:
            hint = nearest(name, sorted(known))
            raise run.error("trainer.start_without", f"the network has no weights in {name!r}{hint}", name)
    return [PREFIX + name for name in run.trainer.start_without]


def start_from_mae(task: Task, run: Run) -> None:
    """Copy the encoder of the MAE in `trainer.mae_checkpoint_path` into the model; say what was taken.

    Raises CheckpointError when there is no such checkpoint, UserError when nothing of it fits.
    """
    directory, name = Path(run.trainer.mae_checkpoint_path), run.trainer.mae_checkpoint_filename
    name = name or run.trainer.checkpoint_filename
    newest, problems = checkpoint.load_newest(directory, name)
    for problem in problems:
        log.warning("%s; using an older one", problem)
    if newest is None:
        raise CheckpointError(
            f"trainer.mae_checkpoint_path {directory}: no checkpoint {name!r} there; pre-train with "
            "trainer.task masked first, or set trainer.use_pretrained_mae_model=false"
        )
    if newest.meta.get("task") != "masked":
        task_name = newest.meta.get("task", "no name")
        raise CheckpointError(
            f"{newest.directory} is a checkpoint of task {task_name}, not of a masked autoencoder"
        )
    if is_on_meta(task.model):
        materialise(task.model, run.trainer.seed, torch.device("cpu"))
    weights = {
        key.removeprefix(PREFIX): value
        for key, value in newest.for_inference.items()
        if key.startswith(PREFIX)
    }
    variables = newest.config["model"]["default_vars"]
    try:
        report = transfer(
            task.model, weights, source_grid=newest.meta.get("grid", ()), source_variables=variables
        )
    except (RuntimeError, TypeError, LookupError) as cause:
        raise CheckpointError(f"{newest.directory}: its weights are not what it says ({cause})") from None
    which = ", its averaged weights" if newest.has_average else ""
    log.info("starting from the masked autoencoder %s%s\n%s", newest.directory, which, report)

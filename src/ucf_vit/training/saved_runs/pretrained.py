"""Initial weights of a run from a network that was trained before."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ucf_vit import checkpoint
from ucf_vit.checkpoint.locate import find_start, place_of
from ucf_vit.checkpoint.shards import Shards
from ucf_vit.config import Run, Trainer, patch_of
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.fingerprints import joined
from ucf_vit.data.leaks.compare import Rows
from ucf_vit.models.transfer import Source, transfer
from ucf_vit.options import PretrainedOptions
from ucf_vit.parallel.distribute import is_on_meta
from ucf_vit.parallel.initial_weights import materialise
from ucf_vit.parallel.ranks.world import World
from ucf_vit.registries.tasks import task_name
from ucf_vit.tasks.task import Task
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.used_items import Use, used_items
from ucf_vit.training.saved_runs.restore import OtherNetworkError, load_for_inference, load_tensors

log = logging.getLogger(__name__)
PREFIX = "model."
CLASSIFIER = "head"
"""Module whose weights are ordered by the class numbers of whole images."""


def first_classes_of(trainer: Trainer, world: World) -> tuple[str, ...]:
    """Returns the class names of the weights in `trainer.start_from`, to be numbered first (collective).

    Empty if `trainer.start_without` excludes the classifier.
    """

    def names() -> tuple[str, ...]:
        path = find_start(trainer.start_from)
        return Record.load(checkpoint.read_meta(path), path).class_names if path.is_dir() else ()

    has_classifier = trainer.start_from and CLASSIFIER not in trainer.start_without
    return world.on_main(names) if has_classifier else ()


def start_from(task: Task, run: Run, world: World) -> dict[Use, Rows]:
    """Loads the weights in `trainer.start_from`, averaged ones if a checkpoint has them (collective).

    Each process reads the part that it holds. Modules in `trainer.start_without` keep their initial values.
    Returns the items that the weights were trained on, if known. Raises CheckpointError if the weights are
    those of another network.
    """
    path = world.on_main(lambda: find_start(run.trainer.start_from))
    without = _modules(task, run)
    before: dict[Use, Rows] = {}
    try:
        if path.is_dir():
            read = checkpoint.load(path, world)
            load_for_inference(task, run, read, without, grid=read.meta.get("grid", ()))
            _take_conditions(task, Record.load(read.meta, path))
            before = used_items(read.state)
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
    return before


def _modules(task: Task, run: Run) -> list[str]:
    """Returns the names, in `task`, of the modules in `trainer.start_without`.

    Raises ConfigError for a name that is not a module with weights.
    """
    known = {name for name, one in task.model.named_modules() if name and any(True for _ in one.parameters())}
    for name in run.trainer.start_without:
        if name not in known:
            hint = did_you_mean(name, sorted(known))
            raise run.error("trainer.start_without", f"the network has no weights in {name!r}{hint}", name)
    return [PREFIX + name for name in run.trainer.start_without]


def _take_conditions(task: Task, record: Record) -> None:
    """Takes over the numbering of the values of each condition; warns if the values themselves differ."""
    own, before = (values.get("conditions", {}) for values in (task.data_facts(), record.task))
    for name, values in own.items():
        was = before.get(name, values)
        if sorted(was) == sorted(values):
            task.restore({"conditions": {name: was}})
        else:
            log.warning("condition %s: what was %s begins as %s", name, ", ".join(was), ", ".join(values))


def start_from_mae(task: Task, run: Run) -> dict[Use, Rows]:
    """Copies the encoder of the MAE in `trainer.mae_checkpoint_path` into the model and logs what it copied.

    Returns the items that the MAE was trained on, if known. Raises CheckpointError if there is no such
    checkpoint, UserError if none of its weights fits.
    """
    known = " or ".join(task.facts.encoder_from)
    newest = _read_mae(run.trainer, known)
    trained = newest.meta.get("task", "no name")
    if task_name(trained) not in task.facts.encoder_from:
        raise CheckpointError(
            f"{newest.directory} is a checkpoint of task {trained}; task {run.task} starts from the encoder "
            f"of task {known}"
        )
    if is_on_meta(task.model):
        materialise(task.model, run.trainer.seed, torch.device("cpu"))
    weights = {
        key.removeprefix(PREFIX): value
        for key, value in newest.for_inference.items()
        if key.startswith(PREFIX)
    }
    variables = newest.config["input"]["default_vars"]
    try:
        report = transfer(
            task.model,
            weights,
            Source(grid=newest.meta.get("grid", ()), patch=patch_of(newest.config), variables=variables),
            channels=run.input.default_vars,
            options=PretrainedOptions(pretrained_channels=variables),
        )
    except (RuntimeError, TypeError, LookupError) as cause:
        raise CheckpointError(f"{newest.directory}: its weights are not what it says ({cause})") from None
    which = ", its averaged weights" if newest.has_average else ""
    log.info("starting from the masked autoencoder %s%s\n%s", newest.directory, which, report)
    used = used_items(newest.state)
    rows = [used[use] for use in ("trained", "pretrained") if use in used]
    return {"pretrained": joined(rows)} if rows else {}


def _read_mae(trainer: Trainer, known: str) -> checkpoint.Checkpoint:
    """Reads the checkpoint that `trainer.mae_checkpoint_path` means: itself, or one of a run's directory.

    `known` are the tasks that make such checkpoints. Raises CheckpointError if there is none.
    """
    path = Path(trainer.mae_checkpoint_path)
    directory, name = place_of(path)
    if name and trainer.mae_checkpoint_filename:
        raise CheckpointError(
            f"trainer.mae_checkpoint_path {path} is a checkpoint; leave trainer.mae_checkpoint_filename "
            f"{trainer.mae_checkpoint_filename} out"
        )
    if path.is_file():
        raise CheckpointError(
            f"trainer.mae_checkpoint_path {path} is a file; weights in files are named as model.pretrained"
        )
    name = name or trainer.mae_checkpoint_filename or trainer.checkpoint_filename
    newest, problems = checkpoint.load_newest(directory, name)
    for problem in problems:
        log.warning("%s; using an older one", problem)
    if newest is None:
        raise CheckpointError(
            f"trainer.mae_checkpoint_path {path}: no checkpoint {name!r} there; pre-train with "
            f"trainer.task {known} first, or set trainer.use_pretrained_mae_model=false"
        )
    return newest

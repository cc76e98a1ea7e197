"""Finds a trained run by a path, and reads one of its checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.checkpoint.locate import place_of
from ucf_vit.config import Run, config_of, from_dict, load
from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training import data_record
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundRun:
    """A run, its directory, and the name of the requested checkpoint; None: the best one, else the newest."""

    run: Run
    directory: Path
    name: str | None


def find_run(path: Path, overrides: Sequence[str] = (), task: str | None = None) -> FoundRun:
    """Returns the run of a config file, a run's directory, or a checkpoint such as RUN/best or RUN/last.

    Its config is the config.yaml of the directory, or else that of its newest checkpoint, with `overrides`.
    Raises ConfigError for a wrong config, CheckpointError if there is no run at `path`.
    """
    directory, name = place_of(path)
    if name is None and not path.is_dir():
        if not path.exists():
            raise CheckpointError(f"{path}: no such checkpoint, and no config or directory of a run")
        run = load(path, overrides, task=task)
        return FoundRun(run, Path(run.trainer.checkpoint_path), None)
    if config_of(directory) != directory:
        run = load(directory, overrides, task=task)
    else:
        checkpoints = checkpoint.find(directory, name) if name else checkpoint.find_all(directory, "last")
        if not checkpoints:
            raise CheckpointError(f"{path}: no checkpoint in it, and no config.yaml")
        values = checkpoint.read_config(checkpoints[0])
        run = from_dict(values, overrides, task=task, name=str(checkpoints[0] / checkpoint.META))
    trainer = run.trainer.model_copy(update={"checkpoint_path": str(directory)})
    return FoundRun(run.model_copy(update={"trainer": trainer}), directory, name)


def read_checkpoint(
    directory: Path, name: str | None, world: World = checkpoint.SINGLE_PROCESS
) -> checkpoint.Checkpoint:
    """Reads the checkpoint `name` of a run; without a name the best one, or the newest if there is no best.

    Collective. Raises CheckpointError if there is none.
    """
    read, problems = checkpoint.load_newest(directory, name or checkpoint.BEST, world)
    if read is None and name is None:
        read, problems = checkpoint.load_first(
            world.on_main(lambda: checkpoint.find_all(directory, "last")), world
        )
        if read is not None:
            log.warning(
                "%s: there is no best checkpoint; taking the newest, %s", directory, read.directory.name
            )
    if read is None:
        wanted = f"no checkpoint {name!r}" if name else "no checkpoint in it"
        raise CheckpointError(
            f"{directory}: {wanted}; train first, or name one, such as RUN/best or RUN/last"
        )
    for problem in problems:
        log.warning("%s; using an older one", problem)
    return read


def record_of(read: checkpoint.Checkpoint, run: Run) -> Record:
    """Returns the record of a checkpoint; for one without a record, that of the training data as it is now.

    Raises DataError if that data cannot be read.
    """
    if data_record.KEY in read.meta:
        return Record.load(read.meta, read.directory, read.state)
    log.warning(
        "%s is of an earlier version, which saved no class names and no normalization: taking those of the "
        "training data as it is now",
        read.directory,
    )
    return Record.of(build_datasets(run, Scratch()))

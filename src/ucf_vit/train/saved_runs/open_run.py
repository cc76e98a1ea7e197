"""A run that was trained: which one a path means, and what one of its checkpoints holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.config import Run, config_of, from_dict, load
from ucf_vit.core.errors import CheckpointError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.train import data_record
from ucf_vit.train.data_record import Record
from ucf_vit.train.inputs.datasets import build_datasets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundRun:
    """A run, its directory, and which checkpoint is meant; None: the best one, or else the newest."""

    run: Run
    directory: Path
    name: str | None


def find_run(path: Path, overrides: Sequence[str] = (), task: str | None = None) -> FoundRun:
    """The run of a config, of a directory, or of a checkpoint, RUN/best or RUN/last.

    It is what the config.yaml of its directory says, with `overrides`; without such a file what its newest
    checkpoint says. Raises ConfigError, and CheckpointError where there is nothing of a run.
    """
    place = path.absolute()
    if (path / checkpoint.META).is_file() or checkpoint.newest_slot(place.parent, place.name):
        directory, name = place.parent, place.name
    elif path.is_dir():
        directory, name = path, None
    elif path.exists():
        run = load(path, overrides, task=task)
        return FoundRun(run, Path(run.trainer.checkpoint_path), None)
    else:
        raise CheckpointError(f"{path}: no such checkpoint, and no config or directory of a run")
    described = config_of(directory)
    if described != directory:
        run = load(described, overrides, task=task)
    else:
        found = checkpoint.find(directory, name) if name else checkpoint.find_all(directory, "last")
        if not found:
            raise CheckpointError(f"{path}: no checkpoint in it, and no config.yaml")
        values = checkpoint.read_config(found[0])
        run = from_dict(values, overrides, task=task, name=str(found[0] / checkpoint.META))
    trainer = run.trainer.model_copy(update={"checkpoint_path": str(directory)})
    return FoundRun(run.model_copy(update={"trainer": trainer}), directory, name)


def read_checkpoint(
    directory: Path, name: str | None, world: World = checkpoint.ALONE
) -> checkpoint.Checkpoint:
    """The checkpoint `name` of a run; without a name the best one, or the newest where there is no best.

    Collective. Raises CheckpointError where there is none.
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
    """Returns the record of a checkpoint's data; for one without a record, that of the training data now.

    Raises DataError where that is not there.
    """
    if data_record.KEY in read.meta:
        return Record.load(read.meta, read.directory)
    log.warning(
        "%s is of an earlier version, which kept no names of classes and no normalisation: they are those of "
        "the training data as it is now",
        read.directory,
    )
    return Record.of(build_datasets(run, Scratch()))

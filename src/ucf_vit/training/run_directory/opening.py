"""Opens the directory of a run, for a new run or for one that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.checkpoint.locate import find_start
from ucf_vit.config import Run, Trainer, dump
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.run_directory.owned import OUTPUTS, TRACKING, Owned, adopt, claim

CONFIG = "config.yaml"


def open_directory(run: Run, world: World) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    """Prepares the run's directory and writes the config to it (collective).

    Returns the checkpoint to resume from, None for a new run, and notes for the user about this choice.
    Raises UserError if the directory holds another run that would be lost, CheckpointError if there are
    checkpoints to resume from and none is valid.
    """
    trainer, directory = run.trainer, Path(run.trainer.checkpoint_path)

    def begin() -> None:
        start = find_start(trainer.start_from) if trainer.start_from else None
        _make_room(directory, trainer, names, start)
        claim(directory, *OUTPUTS, checkpoints=names)
        write_atomic(directory / CONFIG, described(run))

    names = (trainer.checkpoint_filename, checkpoint.BEST)
    _on_main(world, directory, lambda: (Owned.read(directory) or Owned(directory)).clean_up())
    newest, notes = _read_resumed(directory, trainer, world) if trainer.resume_from_checkpoint else (None, [])
    _on_main(world, directory, begin if newest is None else lambda: adopt(directory, names))
    return newest, notes


def _on_main(world: World, directory: Path, work: Callable[[], None]) -> None:
    def guarded() -> None:
        try:
            work()
        except OSError as cause:
            raise UserError(f"trainer.checkpoint_path {directory}: cannot be written ({cause})") from None

    world.on_main(guarded)


def _read_resumed(
    directory: Path, trainer: Trainer, world: World
) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    """Reads the named checkpoint, or the newest of all: a killed run may have `best` and no slot yet."""
    wanted, name = trainer.checkpoint_filename_for_loading, trainer.checkpoint_filename
    candidates = world.on_main(
        lambda: checkpoint.find(directory, wanted) if wanted else checkpoint.find_all(directory, name)
    )
    newest, problems = checkpoint.load_first(candidates, world)
    if newest is not None:
        return newest, [f"{problem}; using an older one" for problem in problems]
    if wanted:
        raise CheckpointError(
            f"{directory}: no checkpoint {wanted!r} (trainer.checkpoint_filename_for_loading)"
        )
    return None, [f"{directory}: no checkpoint to resume from; starting anew"]


def _make_room(directory: Path, trainer: Trainer, names: Sequence[str], start: Path | None) -> None:
    """Removes the files of a former run, if there is no checkpoint to lose or `trainer.overwrite` says so.

    A run that was killed before its first checkpoint is tracked further when it is resumed.
    """
    own = Owned.read(directory)
    existing = (own or Owned(directory, checkpoints=frozenset(names))).existing_checkpoints()
    if own is None:
        existing = [one for one in existing if (one / checkpoint.META).exists()]
    if existing and (own is None or not trainer.overwrite):
        way = "replace it with trainer.overwrite=true, " if own is not None else ""
        raise UserError(
            f"trainer.checkpoint_path {directory} holds a run already. Continue it with "
            f"trainer.resume_from_checkpoint=true, {way}or name another directory"
        )
    if start is not None and start.absolute() in [one.absolute() for one in existing]:
        raise UserError(
            f"trainer.start_from {start} belongs to the run that trainer.overwrite=true would remove; "
            "name another trainer.checkpoint_path"
        )
    if own is not None:
        own.remove(keep=[TRACKING] if trainer.resume_from_checkpoint and not existing else ())


def write_config(directory: Path, run: Run, world: World) -> None:
    """Writes the config to the directory of the run (collective)."""
    _on_main(world, directory, lambda: write_atomic(directory / CONFIG, described(run)))


def described(run: Run) -> str:
    """Returns the YAML text of the config, with `trainer.overwrite` off: a second use replaces no run."""
    trainer = run.trainer.model_copy(update={"overwrite": False})
    return dump(run.model_copy(update={"trainer": trainer}))

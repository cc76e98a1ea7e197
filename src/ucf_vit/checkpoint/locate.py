"""Resolves a path to a checkpoint: the checkpoint itself, or the directory of its run."""

from __future__ import annotations

from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.core.errors import CheckpointError

EXPECTED = "the directory of a run, or one of its checkpoints, such as RUN/best or RUN/last"


def place_of(path: Path) -> tuple[Path, str | None]:
    """Returns the directory of a run and the name of the checkpoint that `path` means.

    The name is None for a path that is no checkpoint, such as the directory of a run.
    """
    place = path.absolute()
    if (path / checkpoint.META).is_file() or checkpoint.newest_slot(place.parent, place.name):
        return place.parent, place.name
    return path, None


def locate(path: Path) -> Path:
    """Returns the checkpoint at `path`, or the newer of its two slots for a path such as RUN/last.

    Of the directory of a run it is the best checkpoint, or the newest if there is no best. Raises
    CheckpointError if there is none.
    """
    if (path / checkpoint.META).is_file():
        return path
    slot = checkpoint.newest_slot(path.parent, path.name)
    if slot is not None:
        return slot
    if not path.is_dir():
        problem = "is not the directory of a checkpoint" if path.exists() else "does not exist"
        raise CheckpointError(f"{path} {problem}; expected {EXPECTED}")
    found = [*checkpoint.find(path, checkpoint.BEST), *checkpoint.find_all(path, "last")]
    if not found:
        raise CheckpointError(f"{path} holds no complete checkpoint ({checkpoint.META} is missing)")
    return found[0]


def find_start(start_from: str) -> Path:
    """Returns the checkpoint or file in `trainer.start_from`. Raises CheckpointError if it is neither."""
    path = Path(start_from)
    if path.is_file():
        return path
    try:
        return locate(path)
    except CheckpointError as problem:
        file = "" if path.is_dir() else ", or a .safetensors file of weights"
        raise CheckpointError(f"trainer.start_from: {problem}{file}") from None

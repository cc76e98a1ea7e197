"""Resolves a path to a checkpoint, with an error that names existing ones."""

from __future__ import annotations

from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.core.errors import CheckpointError

EXPECTED = "a checkpoint of a run, such as RUN/best or RUN/last"


def locate(path: Path) -> Path:
    """Returns the checkpoint at `path`, or the newer of its two slots for a path such as RUN/last.

    Raises CheckpointError if there is none; for the directory of a run, it names the checkpoints in it.
    """
    if (path / checkpoint.META).is_file():
        return path
    slot = checkpoint.newest_slot(path.parent, path.name)
    if slot is not None:
        return slot
    if not path.is_dir():
        problem = "is not the directory of a checkpoint" if path.exists() else "does not exist"
        raise CheckpointError(f"{path} {problem}; expected {EXPECTED}")
    checkpoints = [meta.parent for meta in sorted(path.glob(f"[!.]*/{checkpoint.META}"))]
    if checkpoints:
        inside = ", ".join(f"{one} ({_step(one)})" for one in checkpoints)
        raise CheckpointError(f"{path} is the directory of a run; name one of its checkpoints: {inside}")
    raise CheckpointError(f"{path} holds no complete checkpoint ({checkpoint.META} is missing)")


def _step(directory: Path) -> str:
    try:
        return f"step {checkpoint.read_meta(directory).get('step')}"
    except CheckpointError:
        return "damaged"


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

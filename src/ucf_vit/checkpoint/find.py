"""Finds checkpoints in the directory of a run, and the newest of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from ucf_vit.checkpoint.read import META, SINGLE_PROCESS, TRIES, Checkpoint, load, read_meta
from ucf_vit.checkpoint.swap_directory import finish, old_path
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.files.names import is_file_name
from ucf_vit.parallel.ranks.world import World

BEST = "best"
SLOTS = ("even", "odd")


def find(directory: Path, name: str) -> list[Path]:
    """Returns the checkpoints called `name`, newest first: `name` itself, or its slots and older ones.

    Raises CheckpointError if `name` cannot be the name of a directory.
    """
    if not is_file_name(name):
        raise CheckpointError(
            f"{name!r} is not the name of a checkpoint in {directory}; expected one such as best, last or "
            "last_even"
        )
    exact = _actual_path(directory / name)
    if (exact / META).is_file():
        return [exact]
    places = [_actual_path(slot) for slot in slots(directory, name)]
    return _newest_first([*filter(Path.is_dir, places), *find_kept(directory, name)])


def find_all(directory: Path, name: str) -> list[Path]:
    """Returns all checkpoints in the directory of a run whose slots are called `name`, newest first.

    Raises CheckpointError as `find` does.
    """
    own = {path for one in (name, BEST) for path in find(directory, one)}
    others = {_actual_path(meta.parent) for meta in directory.glob(f"[!.]*/{META}")} - own
    return _newest_first([*own, *(path for path in others if _order(path)[0] < math.inf)])


def load_newest(
    directory: Path, name: str, world: World = SINGLE_PROCESS
) -> tuple[Checkpoint | None, list[str]]:
    """Loads the newest valid checkpoint called `name`; also returns problems of newer ones (collective).

    Returns None if there is no checkpoint. Raises CheckpointError if there are some and none is valid.
    """
    candidates = world.on_main(lambda: find(directory, name))
    for _ in range(TRIES):
        try:
            return load_first(candidates, world)
        except CheckpointError:
            before, candidates = candidates, world.on_main(lambda: find(directory, name))
            if candidates == before:
                raise
    return load_first(candidates, world)


def load_first(
    candidates: Iterable[Path], world: World = SINGLE_PROCESS
) -> tuple[Checkpoint | None, list[str]]:
    """Loads the first valid checkpoint of `candidates`, the same on all ranks; see `load_newest`."""
    problems: list[str] = []
    for candidate in candidates:
        try:
            return load(candidate, world), problems
        except CheckpointError as problem:
            problems.append(str(problem))
    if problems:
        raise CheckpointError("no valid checkpoint left: " + "; ".join(problems))
    return None, problems


def slots(directory: Path, name: str) -> list[Path]:
    """Returns the even and the odd slot of the checkpoint `name`."""
    return [directory / f"{name}_{slot}" for slot in SLOTS]


def newest_slot(directory: Path, name: str) -> Path | None:
    """Returns the slot of `name` that was written last, None if there is none."""
    existing = _newest_first(
        slot for slot in map(_actual_path, slots(directory, name)) if (slot / META).is_file()
    )
    return existing[0] if existing else None


def find_kept(directory: Path, name: str) -> list[Path]:
    """Returns the earlier checkpoints of `name` that were kept, newest first."""
    if not directory.is_dir():
        return []
    wanted = re.compile(rf"{re.escape(name)}_step_\d+")
    return _newest_first(
        path for path in directory.iterdir() if wanted.fullmatch(path.name) and (path / META).is_file()
    )


def clean_up(directory: Path, *names: str) -> None:
    """Finishes what a killed process left undone; only the process that writes to `directory` may call it."""
    if not names:
        return
    own = re.compile(rf"({'|'.join(map(re.escape, names))})(_even|_odd|_step_\d+)?")
    finish(directory, lambda name: own.fullmatch(name) is not None)


def kept_path(directory: Path) -> Path | None:
    """Returns the path at which a checkpoint is kept once there is a newer one; None if it is not valid."""
    name = directory.name.removesuffix("_even").removesuffix("_odd")
    try:
        return directory.with_name(f"{name}_step_{read_meta(directory)['step']}")
    except CheckpointError:
        return None


def last_number(directory: Path) -> int:
    """Returns the highest number of a checkpoint in `directory`, 0 if there is none."""
    orders = (_order(meta.parent) for meta in directory.glob(f"*/{META}"))
    return int(max((number for number, _ in orders if number < math.inf), default=0))


def _newest_first(checkpoints: Iterable[Path]) -> list[Path]:
    return sorted(checkpoints, key=_order, reverse=True)


def _order(path: Path) -> tuple[float, int]:
    """Returns the sort key of a checkpoint: its number, then its step.

    A damaged checkpoint is sorted as the newest, so that it is tried first and reported.
    """
    try:
        meta = read_meta(path)
    except CheckpointError:
        return math.inf, 0
    return meta.get("number", 0), meta["step"]


def _actual_path(path: Path) -> Path:
    """Returns the path of a checkpoint: the temporary one if a save was killed between its two renames."""
    aside = old_path(path)
    return aside if not path.exists() and (aside / META).is_file() else path

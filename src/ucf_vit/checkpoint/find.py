"""Which checkpoints there are in the directory of a run, and which is newest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from ucf_vit.checkpoint.read import ALONE, META, TRIES, Checkpoint, load, read_meta
from ucf_vit.checkpoint.swap_directory import finish, old_of
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.files.names import is_file_name
from ucf_vit.parallel.ranks.world import World

BEST = "best"
SLOTS = ("even", "odd")


def find(directory: Path, name: str) -> list[Path]:
    """Checkpoints called `name` in `directory`, newest first: `name` itself, or its slots and older ones.

    Raises CheckpointError where `name` is not that of something in a directory.
    """
    if not is_file_name(name):
        raise CheckpointError(
            f"{name!r} names no checkpoint in {directory}; expected a name such as best, last or last_even"
        )
    exact = _place(directory / name)
    if (exact / META).is_file():
        return [exact]
    places = [_place(slot) for slot in slots(directory, name)]
    return _newest_first([*filter(Path.is_dir, places), *kept(directory, name)])


def find_all(directory: Path, name: str) -> list[Path]:
    """All checkpoints in the directory of a run whose slots are called `name`, newest first.

    Raises CheckpointError as `find` does.
    """
    own = {path for one in (name, BEST) for path in find(directory, one)}
    others = {_place(meta.parent) for meta in directory.glob(f"[!.]*/{META}")} - own
    return _newest_first([*own, *(path for path in others if _order(path)[0] < math.inf)])


def load_newest(directory: Path, name: str, world: World = ALONE) -> tuple[Checkpoint | None, list[str]]:
    """The newest valid checkpoint called `name`, and what was wrong with newer ones (collective).

    None when there is no checkpoint at all; CheckpointError when there are some and none is valid.
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


def load_first(candidates: Iterable[Path], world: World = ALONE) -> tuple[Checkpoint | None, list[str]]:
    """The first valid one of `candidates`, the same on all ranks; see `load_newest`."""
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
    """The even and the odd slot of the checkpoint `name`."""
    return [directory / f"{name}_{slot}" for slot in SLOTS]


def newest_slot(directory: Path, name: str) -> Path | None:
    """The slot of `name` that was written last; None where there is none."""
    found = _newest_first(slot for slot in map(_place, slots(directory, name)) if (slot / META).is_file())
    return found[0] if found else None


def kept(directory: Path, name: str) -> list[Path]:
    """Earlier checkpoints that were kept beside `name`, newest first."""
    if not directory.is_dir():
        return []
    wanted = re.compile(rf"{re.escape(name)}_step_\d+")
    return _newest_first(
        path for path in directory.iterdir() if wanted.fullmatch(path.name) and (path / META).is_file()
    )


def clean_up(directory: Path, *names: str) -> None:
    """Finish what a kill left undone of checkpoints with these names. Only who writes there may call it."""
    if not names:
        return
    own = re.compile(rf"({'|'.join(map(re.escape, names))})(_even|_odd|_step_\d+)?")
    finish(directory, lambda name: own.fullmatch(name) is not None)


def kept_as(directory: Path) -> Path | None:
    """Where the checkpoint at `directory` is kept once there is a newer or better one; None if it is none."""
    name = directory.name.removesuffix("_even").removesuffix("_odd")
    try:
        return directory.with_name(f"{name}_step_{read_meta(directory)['step']}")
    except CheckpointError:
        return None


def last_number(directory: Path) -> int:
    """The highest number of a checkpoint in `directory`; 0 where there is none."""
    orders = (_order(meta.parent) for meta in directory.glob(f"*/{META}"))
    return int(max((number for number, _ in orders if number < math.inf), default=0))


def _newest_first(checkpoints: Iterable[Path]) -> list[Path]:
    return sorted(checkpoints, key=_order, reverse=True)


def _order(path: Path) -> tuple[float, int]:
    """Number and step: a run may have been taken back to an earlier step. A damaged one comes last of all,
    so that it is looked at first, and reported.
    """
    try:
        meta = read_meta(path)
    except CheckpointError:
        return math.inf, 0
    return meta.get("number", 0), meta["step"]


def _place(path: Path) -> Path:
    """Where a checkpoint is: aside for the moment between the two renames of a save, or since a kill then."""
    aside = old_of(path)
    return aside if not path.exists() and (aside / META).is_file() else path

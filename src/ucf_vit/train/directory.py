"""The directory of a run: when it may be used, and how a run continues from it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ucf_vit.config import Run, differences, dump
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.parallel.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.train import checkpoint
from ucf_vit.train.checkpoint.locate import find_start
from ucf_vit.train.checkpoint.shards import Shards
from ucf_vit.train.ema import Ema
from ucf_vit.train.mismatch import mismatch
from ucf_vit.train.optimizer import load_moments
from ucf_vit.train.state import State

log = logging.getLogger(__name__)

OUTPUTS = ("config.yaml", "metrics.jsonl", "log.txt", "report.html")


def open_directory(run: Run, world: World) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    """Make the run's directory ready, with the config of what is trained in it.

    Returns the checkpoint to continue from, or None for none, and what the user should know about the choice.
    Collective. Raises UserError when the directory holds another run that would be lost, and
    CheckpointError when there are checkpoints to resume from and none is valid.
    """
    directory = Path(run.trainer.checkpoint_path)

    def begin() -> None:
        start = find_start(run) if run.trainer.start_from else None
        _make_room(directory, run, start)
        _write_config(directory, run)

    def make() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        checkpoint.clean_up(directory, run.trainer.checkpoint_filename, checkpoint.BEST)

    _on_main(world, directory, make)
    newest, notes = _to_resume(directory, run, world) if run.trainer.resume_from_checkpoint else (None, [])
    if newest is None:
        _on_main(world, directory, begin)
    return newest, notes


def _on_main(world: World, directory: Path, work: Callable[[], None]) -> None:
    def guarded() -> None:
        try:
            work()
        except OSError as cause:
            raise UserError(f"trainer.checkpoint_path {directory}: cannot be written ({cause})") from None

    world.on_main(guarded)


def _to_resume(directory: Path, run: Run, world: World) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    """The checkpoint that is named, else the newest of all: a kill may have left `best` and no slot yet."""
    wanted, name = run.trainer.checkpoint_filename_for_loading, run.trainer.checkpoint_filename
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


def _make_room(directory: Path, run: Run, start: Path | None) -> None:
    names = (checkpoint.BEST, run.trainer.checkpoint_filename)
    slots = [directory / checkpoint.BEST, *checkpoint.slots(directory, run.trainer.checkpoint_filename)]
    slots += [path for name in names for path in checkpoint.kept(directory, name)]
    if any(slot.exists() for slot in slots) and not run.trainer.overwrite:
        raise UserError(
            f"trainer.checkpoint_path {directory} holds a run already. Continue it with "
            "trainer.resume_from_checkpoint=true, replace it with trainer.overwrite=true, "
            "or name another directory"
        )
    if start is not None and start.absolute() in [slot.absolute() for slot in slots]:
        raise UserError(
            f"trainer.start_from {start} belongs to the run that trainer.overwrite=true would remove; "
            "name another trainer.checkpoint_path"
        )
    for slot in slots:
        shutil.rmtree(slot, ignore_errors=True)
    shutil.rmtree(directory / "pictures", ignore_errors=True)
    for name in OUTPUTS:
        (directory / name).unlink(missing_ok=True)


def _write_config(directory: Path, run: Run) -> None:
    try:
        (directory / "config.yaml").write_text(dump(run), encoding="utf-8")
    except OSError as cause:
        raise UserError(f"{directory / 'config.yaml'}: cannot be written ({cause})") from None


def load_for_inference(task: Task, run: Run, read: checkpoint.Checkpoint) -> list[str]:
    """As `load_weights`, with the averaged weights where the checkpoint has some."""
    if read.has_average:
        log.info("%s: using the averaged weights", read.directory)
    return _load(task, run, read, (checkpoint.WEIGHTS, checkpoint.AVERAGED))


def load_weights(task: Task, run: Run, read: checkpoint.Checkpoint) -> list[str]:
    """Put a checkpoint's weights into `task`, which `run` describes; see `differences` for what is returned.

    A warning names what the network is or sees otherwise than when it was trained. CheckpointError when the
    weights are those of another network.
    """
    return _load(task, run, read, (checkpoint.WEIGHTS,))


def _load(task: Task, run: Run, read: checkpoint.Checkpoint, kinds: Iterable[str]) -> list[str]:
    differing = differences(read.meta["config"], run)
    try:
        load_tensors(task, [read.shards(kind) for kind in kinds])
    except OtherNetworkError as how:
        trained = read.directory.parent / "config.yaml"
        advice = f"; repeat the overrides of the training, or evaluate {trained}. " if differing else ""
        raise CheckpointError(
            f"{read.directory} holds another network than the config describes: "
            f"{'; '.join(differing)}{advice}{how}"
        ) from None
    if differing:
        log.warning("%s was trained otherwise: %s", read.directory, "; ".join(differing))
    return differing


class OtherNetworkError(CheckpointError):
    """Weights are those of another network; the message says how they differ."""


def load_tensors(task: Task, sources: Sequence[Shards]) -> None:
    """Put tensors by name into `task`, of several sources the last; a rank reads what it holds of each.

    Raises OtherNetworkError where names or shapes are not those of `task`.
    """
    own = task.state_dict()
    if how := mismatch(own, {name: shape for source in sources for name, shape in source.shapes.items()}):
        raise OtherNetworkError(how)
    found: dict[str, Tensor] = {}
    for source in sources:
        found |= source.parts(own)
    task.load_state_dict(found)


def resume(state: State, run: Run, read: checkpoint.Checkpoint) -> None:
    """Continue from a checkpoint, from now on with the config of `run`."""
    directory = read.directory
    load_weights(state.task, run, read)
    load_moments(state.task, state.optimizer, read.shards(checkpoint.OPTIMIZER))
    state.load_state_dict(read.state)
    state.count(run.trainer)
    _resume_average(state, run.trainer.ema_decay, read)
    state.world.on_main(lambda: _write_config(directory.parent, run))
    state.slot = state.world.on_main(lambda: _slot_before(directory, run.trainer.checkpoint_filename))
    log.info("resumed from %s: step %d of %d", directory, state.step, state.total_steps)
    if changes := _changes(state, read.state):
        log.info("the steps are others from here on: %s", changes)
    if state.step >= state.total_steps:
        log.warning("nothing left to do: raise trainer.max_epochs or trainer.max_steps to train further")


def _slot_before(directory: Path, name: str) -> str:
    """The slot that the next save leaves as it is: that of the checkpoint resumed from, or the newest."""
    if directory in checkpoint.slots(directory.parent, name):
        return directory.name
    slot = checkpoint.newest_slot(directory.parent, name)
    return "" if slot is None else slot.name


def _changes(state: State, saved: Mapping[str, Any]) -> str:
    """What makes the steps of this run others than those of the checkpoint, or nothing."""
    now, then = state.stream.state_dict(), saved["stream"]
    values = {
        "ranks": (then.get("ranks", now["ranks"]), now["ranks"]),
        "global batch": (then["global_batch"], now["global_batch"]),
        "steps per epoch": (saved["steps_per_epoch"], state.steps_per_epoch),
    }
    told = [f"{name} {new} (was {old})" for name, (old, new) in values.items() if new != old]
    return ", ".join([*told, f"{state.stream.left} batches left of this epoch"]) if told else ""


def _resume_average(state: State, decay: float, read: checkpoint.Checkpoint) -> None:
    if decay:
        state.ema = Ema(state.task, decay)
    if state.ema is not None and read.has_average:
        averaged = read.shards(checkpoint.AVERAGED).parts(state.ema.weights)
        state.ema.load_state_dict(read.state["ema"], averaged)
    elif state.ema is not None:
        log.info("trainer.ema_decay: %s has no averaged weights; they start from its weights", read.directory)
    elif read.has_average:
        log.info("trainer.ema_decay is 0: the averaged weights of %s are dropped", read.directory)

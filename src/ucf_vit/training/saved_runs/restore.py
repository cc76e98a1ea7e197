"""Loads checkpoints: weights for inference, and the whole state to resume a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ucf_vit import checkpoint
from ucf_vit.checkpoint.mismatch import mismatch, reshaped
from ucf_vit.checkpoint.shards import Shards
from ucf_vit.config import Optimizer, Run, differences
from ucf_vit.core.errors import CheckpointError, brief
from ucf_vit.tasks.task import Task
from ucf_vit.training.optimization.ema import Ema
from ucf_vit.training.optimization.optimizer import load_moments
from ucf_vit.training.optimization.schedule import describe_jump
from ucf_vit.training.run_directory import write_config
from ucf_vit.training.saved_runs.regrid import regrid_positions, reordered_patch
from ucf_vit.training.state import State

log = logging.getLogger(__name__)
STATE_FILE = "state.pt"


def load_for_inference(
    task: Task,
    run: Run,
    read: checkpoint.Checkpoint,
    without: Sequence[str] = (),
    grid: Sequence[int] = (),
) -> list[str]:
    """Loads a checkpoint's weights into `task` as `load_weights` does, averaged ones if there are any.

    Modules named in `without` keep their current weights. With `grid`, the patches along each axis in the
    checkpoint, positions are interpolated to the grid of `task` if that is another.
    """
    if read.has_average:
        log.info("%s: using the averaged weights", read.directory)
    return _load(task, run, read, (checkpoint.WEIGHTS, checkpoint.AVERAGED), without, grid)


def load_weights(task: Task, run: Run, read: checkpoint.Checkpoint) -> list[str]:
    """Loads a checkpoint's weights into `task`, which `run` describes.

    Returns how the network and its input in `run` differ from training, see `ucf_vit.config.differences`, and
    logs them as a warning. Raises CheckpointError if the weights are those of another network.
    """
    return _load(task, run, read, (checkpoint.WEIGHTS,))


def _load(
    task: Task,
    run: Run,
    read: checkpoint.Checkpoint,
    kinds: Iterable[str],
    without: Sequence[str] = (),
    grid: Sequence[int] = (),
) -> list[str]:
    differing = differences(read.config, run)
    sources = [read.shards(kind) for kind in kinds]
    regridded = [text for source in sources for text in regrid_positions(task, source, grid).items()]
    try:
        if tied := reordered_patch(task, run, read.config, without):
            raise OtherNetworkError("the pixels of a patch are in another order", tied)
        load_tensors(task, sources, without)
    except OtherNetworkError as how:
        trained = read.directory.parent / "config.yaml"
        advice = f"; repeat the overrides of the training, or evaluate {trained}. " if differing else ""
        raise OtherNetworkError(
            f"{read.directory} holds another network than the config describes: "
            f"{'; '.join(differing)}{advice}{how}",
            how.reshaped,
        ) from None
    for name, how_far in dict(regridded).items():
        log.info("%s: %s interpolated from %s", read.directory, name, how_far)
    if differing:
        log.warning("%s was trained with other settings: %s", read.directory, "; ".join(differing))
    return differing


class OtherNetworkError(CheckpointError):
    """Error for weights of another network.

    `reshaped` names the modules whose weights have other shapes, if nothing else differs.
    """

    def __init__(self, message: str, reshaped: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reshaped = tuple(reshaped)


def load_tensors(task: Task, sources: Sequence[Shards], without: Sequence[str] = ()) -> None:
    """Loads tensors into `task` by name; the last of `sources` takes precedence. A rank reads its own shards.

    Modules named in `without` do not change. Raises OtherNetworkError if names or shapes are not those of
    `task`.
    """
    excluded = tuple(f"{name}." for name in without)
    own = {name: tensor for name, tensor in task.state_dict().items() if not name.startswith(excluded)}
    shapes = {
        name: shape
        for source in sources
        for name, shape in source.shapes.items()
        if not name.startswith(excluded)
    }
    if how := mismatch(own, shapes):
        raise OtherNetworkError(how, reshaped(own, shapes))
    tensors: dict[str, Tensor] = {}
    for source in sources:
        tensors |= source.parts(own)
    task.load_state_dict(tensors, strict=not without)


def resume(state: State, run: Run, read: checkpoint.Checkpoint) -> None:
    """Restores `state` from a checkpoint and writes the config of `run`, which holds from now on."""
    directory = read.directory
    state.world.on_main(lambda: _check(read))
    load_weights(state.task, run, read)
    load_moments(state.task, state.optimizer, read.shards(checkpoint.OPTIMIZER))
    _load_state(state, read)
    state.count(run.trainer)
    _resume_average(state, run.trainer.ema_decay, read)
    write_config(directory.parent, run, state.world)
    state.slot = state.world.on_main(lambda: _slot_before(directory, run.trainer.checkpoint_filename))
    log.info("resumed from %s: step %d of %d", directory, state.step, state.total_steps)
    if read.state.get("held_out", state.held_out) != state.held_out:
        log.warning(
            "the validation items changed: the best result so far was measured on other items and is dropped"
        )
    if changes := _changes(state, read.state):
        log.info("steps differ from here on: %s", changes)
    _warn_of_jump(state, run.optimizer, read)
    if state.step >= state.total_steps:
        log.warning("nothing left to do: raise trainer.max_epochs or trainer.max_steps to train further")


def _warn_of_jump(state: State, optimizer: Optimizer, read: checkpoint.Checkpoint) -> None:
    """Warns if the learning rate jumps, for example in a run that was made longer."""
    steps_before = read.state.get("total_steps")
    if steps_before is None or state.step >= state.total_steps or not state.world.is_main:
        return
    before = read.config.get("optimizer", {})
    if message := describe_jump(before, steps_before, optimizer, state.total_steps, state.step):
        log.warning(message)


def _check(read: checkpoint.Checkpoint) -> None:
    """Raises CheckpointError if the checkpoint holds no state to resume from."""
    path = read.directory / STATE_FILE
    checkpoint.check_state(read.state, path)
    if read.state["step"] != read.meta["step"]:
        raise CheckpointError(f"{path}: of step {read.state['step']}, but {checkpoint.META} of another")


def _load_state(state: State, read: checkpoint.Checkpoint) -> None:
    try:
        state.load_state_dict(read.state)
    except (LookupError, TypeError, ValueError, ArithmeticError) as cause:
        path = read.directory / STATE_FILE
        raise CheckpointError(f"{path}: cannot be resumed from ({brief(cause)})") from None


def _slot_before(directory: Path, name: str) -> str:
    """Returns the slot that the next save must not overwrite: the one resumed from, or the newest."""
    if directory in checkpoint.slots(directory.parent, name):
        return directory.name
    slot = checkpoint.newest_slot(directory.parent, name)
    return "" if slot is None else slot.name


def _changes(state: State, saved: Mapping[str, Any]) -> str:
    """Returns why steps of this run differ from those of the checkpoint; empty if they do not."""
    now, then = state.stream.state_dict(), saved["stream"]
    values = {
        "ranks": (then.get("ranks", now["ranks"]), now["ranks"]),
        "global batch": (then["global_batch"], now["global_batch"]),
        "steps per epoch": (saved["steps_per_epoch"], state.steps_per_epoch),
    }
    changes = [f"{name} {new} (was {old})" for name, (old, new) in values.items() if new != old]
    return ", ".join([*changes, f"{state.stream.left} batches left in this epoch"]) if changes else ""


def _resume_average(state: State, decay: float, read: checkpoint.Checkpoint) -> None:
    if decay:
        state.ema = Ema(state.task, decay)
    if state.ema is not None and read.has_average:
        shards = read.shards(checkpoint.AVERAGED)
        if how := mismatch(state.ema.weights, shards.shapes):
            raise CheckpointError(f"{read.directory}: the averaged weights are of another network: {how}")
        if not read.state.get("ema"):
            raise CheckpointError(f"{read.directory / STATE_FILE}: has no state of the averaged weights")
        state.ema.load_state_dict(read.state["ema"], shards.parts(state.ema.weights))
    elif state.ema is not None:
        log.info("trainer.ema_decay: %s has no averaged weights; they start from its weights", read.directory)
    elif read.has_average:
        log.info("trainer.ema_decay is 0: the averaged weights of %s are dropped", read.directory)

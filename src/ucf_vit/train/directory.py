"""The directory of a run: what is in it, when it may be used, and how a run continues from it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ucf_vit.config import Run, differences, dump
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.parallel.whole import gathered, spread
from ucf_vit.tasks.task import Task
from ucf_vit.train import checkpoint
from ucf_vit.train.ema import Ema
from ucf_vit.train.state import State

log = logging.getLogger(__name__)

BEST = "best"
OUTPUTS = ("config.yaml", "metrics.jsonl", "log.txt", "report.html")


def open_directory(run: Run) -> tuple[Path | None, list[str]]:
    """Make the run's directory ready, with the config of what is trained in it.

    Returns the checkpoint to continue from, or None for none, and what the user should know about the choice.
    Call it on one process. Raises UserError when the directory holds another run that would be lost, and
    CheckpointError when there are checkpoints to resume from and none is valid.
    """
    directory = Path(run.trainer.checkpoint_path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        newest, notes = _to_resume(directory, run) if run.trainer.resume_from_checkpoint else (None, [])
        if newest is None:
            _make_room(directory, run)
            _write_config(directory, run)
    except OSError as cause:
        raise UserError(f"trainer.checkpoint_path {directory}: cannot be written ({cause})") from None
    return newest, notes


def _to_resume(directory: Path, run: Run) -> tuple[Path | None, list[str]]:
    name = run.trainer.checkpoint_filename_for_loading or run.trainer.checkpoint_filename
    newest, problems = checkpoint.load_newest(directory, name)
    notes = [f"{problem}; using the other slot" for problem in problems]
    if newest is None and run.trainer.checkpoint_filename_for_loading:
        raise CheckpointError(
            f"{directory}: no checkpoint {name!r} (trainer.checkpoint_filename_for_loading)"
        )
    if newest is None:
        return None, [f"{directory}: no checkpoint {name!r} to resume from; starting anew"]
    return newest.directory, notes


def _make_room(directory: Path, run: Run) -> None:
    slots = [directory / BEST, *checkpoint.slots(directory, run.trainer.checkpoint_filename)]
    if any(slot.exists() for slot in slots) and not run.trainer.overwrite:
        raise UserError(
            f"trainer.checkpoint_path {directory} holds a run already. Continue it with "
            "trainer.resume_from_checkpoint=true, replace it with trainer.overwrite=true, "
            "or name another directory"
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
    if read.averaged:
        log.info("%s: using the averaged weights", read.directory)
    return _load(task, run, read, read.for_inference)


def load_weights(task: Task, run: Run, read: checkpoint.Checkpoint) -> list[str]:
    """Put a checkpoint's weights into `task`, which `run` describes; see `differences` for what is returned.

    A warning names what the network is or sees otherwise than when it was trained. CheckpointError when the
    weights are those of another network.
    """
    return _load(task, run, read, read.weights)


def _load(task: Task, run: Run, read: checkpoint.Checkpoint, weights: Mapping[str, Tensor]) -> list[str]:
    differing = differences(read.meta["config"], run)
    try:
        task.load_state_dict(spread(weights, like=task.state_dict()))
    except RuntimeError as cause:
        trained = read.directory.parent / "config.yaml"
        advice = f"; repeat the overrides of the training, or evaluate {trained}\n" if differing else ""
        raise CheckpointError(
            f"{read.directory} holds another network than the config describes: "
            f"{'; '.join(differing)}{advice}{str(cause)[:500]}"
        ) from None
    if differing:
        log.warning("%s was trained otherwise: %s", read.directory, "; ".join(differing))
    return differing


def resume(state: State, run: Run, directory: Path) -> None:
    """Continue from the checkpoint in `directory`, from now on with the config of `run`."""
    read = checkpoint.load(directory)
    load_weights(state.task, run, read)
    state.load_state_dict(read.state)
    state.count(run.trainer)
    _resume_average(state, run.trainer.ema_decay, read)
    state.world.on_main(lambda: _write_config(directory.parent, run))
    state.slot = directory.name
    log.info("resumed from %s: step %d of %d", directory, state.step, state.total_steps)
    if changes := _changes(state, read.state):
        log.info("the steps are others from here on: %s", changes)
    if state.step >= state.total_steps:
        log.warning("nothing left to do: raise trainer.max_epochs or trainer.max_steps to train further")


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
    if state.ema is not None and read.averaged:
        averaged = spread(read.averaged, like=state.ema.weights)
        state.ema.load_state_dict(read.state["ema"], averaged)
    elif state.ema is not None:
        log.info("trainer.ema_decay: %s has no averaged weights; they start from its weights", read.directory)
    elif read.averaged:
        log.info("trainer.ema_decay is 0: the averaged weights of %s are dropped", read.directory)


def save(state: State, run: Run, name: str, metrics: dict[str, float] | None = None) -> None:
    """Write a checkpoint called `name` (collective); rank 0 writes, a full disk is an error on every rank."""
    saved = state.state_dict()
    keep = state.world.is_main
    weights = gathered(state.task.state_dict(), keep)
    averaged = None if state.ema is None else gathered(state.ema.weights, keep)
    meta = {
        "step": state.step,
        "epoch": state.epoch,
        "task": run.task,
        "grid": run.grid,
        "metrics": metrics or {},
        "config": dump(run),
    }
    directory = Path(run.trainer.checkpoint_path)

    def write() -> None:
        try:
            checkpoint.save(directory / name, weights, saved, meta, averaged)
        except OSError as cause:
            raise CheckpointError(
                f"{directory / name}: cannot be written ({cause}); the other slot is intact"
            ) from None

    state.world.on_main(write)


def save_slot(state: State, run: Run) -> None:
    """Write the slot that was not written last."""
    even, odd = (slot.name for slot in checkpoint.slots(Path(), run.trainer.checkpoint_filename))
    state.slot = odd if state.slot == even else even
    save(state, run, state.slot)

"""Retention of checkpoints: which ones a run writes, keeps and removes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.checkpoint.saver import Saver
from ucf_vit.checkpoint.swap_directory import remove
from ucf_vit.config import Run
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.log import FILE_ONLY
from ucf_vit.tasks.task import Direction, Task
from ucf_vit.training import data_record
from ucf_vit.training.run_directory import described
from ucf_vit.training.state import State

log = logging.getLogger(__name__)


def save_slot(state: State, run: Run, saver: Saver) -> None:
    """Writes the older of the two slots and keeps the newest `trainer.checkpoint_keep_last` checkpoints."""
    directory, name = Path(run.trainer.checkpoint_path), run.trainer.checkpoint_filename
    even, odd = (slot.name for slot in checkpoint.slots(directory, name))
    more = run.trainer.checkpoint_keep_last - len(checkpoint.SLOTS)
    state.slot = odd if state.slot == even else even

    def prune() -> None:
        _remove(checkpoint.find_kept(directory, name)[more:], "trainer.checkpoint_keep_last")

    _save(state, run, saver, state.slot, {}, keep=more > 0, prune=prune)


def save_if_good(state: State, run: Run, saver: Saver, metrics: dict[str, float]) -> None:
    """Writes the checkpoint `best` if the validation is the best so far, and counts it as stale if not.

    The `trainer.checkpoint_keep_best` - 1 next best are kept as `best_step_<step>`. A validation whose value
    is not finite is ignored.
    """
    name, direction = best_by(state.task, metrics)
    key, sign = f"validation/{name}", 1 if direction == "max" else -1
    directory, more = Path(run.trainer.checkpoint_path), run.trainer.checkpoint_keep_best - 1
    value = metrics[key]

    def goodness(path: Path) -> float:
        try:
            return sign * checkpoint.read_meta(path)["metrics"].get(key, -sign * math.inf)
        except CheckpointError:
            return -math.inf

    def ranked() -> list[Path]:
        return sorted(checkpoint.find_kept(directory, checkpoint.BEST), key=goodness, reverse=True)

    def prune() -> None:
        _remove(ranked()[more:], "trainer.checkpoint_keep_best")

    def is_next_best() -> bool:
        others = ranked()
        return len(others) < more or sign * value > goodness(others[more - 1])

    if not math.isfinite(value):
        _warn_not_finite(state, key, metrics)
        return
    if state.best is None and name != state.task.best[0] and state.world.is_main:
        log.warning(
            "%s has no value on the validation items: the best checkpoint is chosen by %s. To choose it by "
            "the former, hold out other items (data.validation, data.dict_end_idx)",
            *(state.task.best[0], name),
        )
    state.unjudged = False
    if state.best is None or sign * (value - state.best) > 0:
        state.best, state.stale = value, 0
        _save(state, run, saver, checkpoint.BEST, metrics, keep=more > 0, prune=prune)
        return
    state.stale += 1
    saver.wait()
    if more and state.world.on_main(is_next_best):
        _save(state, run, saver, f"{checkpoint.BEST}_step_{state.step}", metrics, prune=prune)
    else:
        state.world.on_main(prune)


def best_by(task: Task, metrics: Mapping[str, float]) -> tuple[str, Direction]:
    """Returns `Task.best_by` for metrics with the names of a validation, such as "validation/loss"."""
    return task.best_by({name.removeprefix("validation/"): value for name, value in metrics.items()})


def _warn_not_finite(state: State, key: str, metrics: Mapping[str, float]) -> None:
    """Warns that a validation has no finite value; once, until one has."""
    if state.unjudged or not state.world.is_main:
        return
    state.unjudged = True
    log.warning(
        "%s is %s at step %d, since predictions on held-out data are not finite: look at these files, or "
        "lower optimizer.lr. Until it is a number, no checkpoint becomes best and trainer.early_stop_epochs "
        "counts nothing",
        *(key, metrics[key], state.step),
    )


def _remove(checkpoints: Iterable[Path], key: str) -> None:
    for one in checkpoints:
        log.info("removing %s: more than %s", one.name, key, extra=FILE_ONLY)
        remove(one)


def _save(
    state: State,
    run: Run,
    saver: Saver,
    name: str,
    metrics: dict[str, float],
    *,
    keep: bool = False,
    prune: Callable[[], None],
) -> None:
    layout = {"mode": run.parallelism.mode, "ranks": state.world.size, **check_ranks(run, state.world.size)}
    meta = {
        "step": state.step,
        "epoch": state.epoch,
        "task": run.task,
        "grid": run.grid,
        "metrics": metrics,
        "layout": layout,
        "config": described(run),
        data_record.KEY: replace(state.record, task=state.task.data_facts()).dump(),
    }
    directory = Path(run.trainer.checkpoint_path) / name
    saver.save(directory, state.tensors(), state.state_dict(), meta, keep=keep, after=prune)

"""Training loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ucf_vit.data.batch import Batch
from ucf_vit.data.loader.stream import Stream
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.meter import Meter
from ucf_vit.training.signals import StopRequest, listen
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings, train_step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loop:
    """Settings of the training loop. Counts are optimizer steps unless the name says epochs; 0 means never.

    `validate(state)` returns metrics. `judge(state, metrics)`, called after the hooks, updates `state.best`
    with its checkpoint, and `state.stale`. `save(state)` writes a checkpoint.
    """

    step: StepSettings
    validate: Callable[[State], dict[str, float]]
    judge: Callable[[State, dict[str, float]], None]
    save: Callable[[State], None]
    accumulate_steps: int = 1
    log_steps: int = 10
    checkpoint_steps: int = 0
    validation_epochs: int = 1
    early_stop_epochs: int = 0


def fit(state: State, loop: Loop, hooks: Sequence[Hook] = ()) -> bool:
    """Trains until `state.total_steps`, an early stop or a signal; returns False if a signal ended it.

    Raises UserError if the loss is not finite in too many steps in a row.
    """
    with listen() as request:
        for hook in hooks:
            hook.on_start(state)
        meter = Meter()
        while state.step < state.total_steps and not _is_stale(state, loop):
            if _train_epoch(state, loop, hooks, request, meter):
                loop.save(state)
                log.warning(
                    "asked to stop%s: saved at step %d", f" by {request.name}" * bool(request), state.step
                )
                for hook in hooks:
                    hook.on_stop(state)
                return False
            _finish_epoch(state, loop, hooks)
        for hook in hooks:
            hook.on_end(state)
    return True


def _is_stale(state: State, loop: Loop) -> bool:
    stale = 0 < loop.early_stop_epochs <= state.stale
    if stale:
        log.info("no better validation in the last %d: early stop at step %d", state.stale, state.step)
    return stale


def _train_epoch(state: State, loop: Loop, hooks: Sequence[Hook], request: StopRequest, meter: Meter) -> bool:
    """Trains to the end of the epoch or the last step; returns True if a signal asks the run to stop."""
    state.replica.train()
    forward_hooks = [hook for hook in hooks if hook.every_rank]
    for batches in meter.waiting(_group_batches(state.stream, loop.accumulate_steps)):
        state.world.report_progress(state.step + 1, "computing")
        result = train_step(state, loop.step, batches, stop=bool(request), hooks=forward_hooks)
        state.world.report_progress(state.step, "done")
        meter.add(result.metrics, batches, state.world.data_size)
        last = state.step >= state.total_steps
        if last or result.stop or state.step % loop.log_steps == 0:
            metrics = {"step": state.step, "epoch": state.epoch, **meter.flush()}
            for hook in hooks:
                hook.on_step(state, metrics)
        if result.stop and not last:
            return True
        if last and state.stream.left:
            break
        saved_by_epoch = not state.stream.left and _is_due(state, loop, state.epoch + 1)
        if loop.checkpoint_steps and state.step % loop.checkpoint_steps == 0 and not saved_by_epoch:
            loop.save(state)
    return False


def _is_due(state: State, loop: Loop, epoch: int) -> bool:
    """Returns whether this epoch ends with a checkpoint, after its validation if there is one."""
    last = state.step >= state.total_steps
    return last or not loop.validation_epochs or epoch % loop.validation_epochs == 0


def _finish_epoch(state: State, loop: Loop, hooks: Sequence[Hook]) -> None:
    due = _is_due(state, loop, state.epoch)
    state.world.report_progress(state.step, "end of an epoch")
    if loop.validation_epochs and due:
        metrics = loop.validate(state)
        for hook in hooks:
            hook.on_validation(state, metrics)
        loop.judge(state, metrics)
    if due:
        loop.save(state)


def _group_batches(stream: Stream, size: int) -> Iterator[list[Batch]]:
    """Yields lists of `size` batches of an epoch; the last one may be shorter.

    Each list is yielded before the stream is read further: at the end of an epoch, reading would begin the
    next one.
    """
    group: list[Batch] = []
    for batch in stream:
        group.append(batch)
        if len(group) == size or not stream.left:
            yield group
            group = []

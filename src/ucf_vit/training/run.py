"""A complete training run: directory, data, state, loop and output."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ucf_vit.checkpoint import Checkpoint
from ucf_vit.checkpoint.saver import Saver
from ucf_vit.config import Run
from ucf_vit.core.log import set_up
from ucf_vit.data.leaks.compare import Rows
from ucf_vit.data.loader.fingerprint import items_digest
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.training.build import distribute_task
from ucf_vit.training.build_hooks import build_hooks
from ucf_vit.training.data_record import Record
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.inputs.item_search import Use
from ucf_vit.training.inputs.plan_files import prepare_plan
from ucf_vit.training.inputs.run_data import RunData, build_data
from ucf_vit.training.inputs.splits import begin_splits
from ucf_vit.training.inputs.used_items import UsedItems, check_copies, compares_contents, used_items
from ucf_vit.training.loop import Loop, fit
from ucf_vit.training.optimization.ema import Ema
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.optimization.optimizer import adamw
from ucf_vit.training.optimization.schedule import schedule
from ucf_vit.training.own_task import naming_task
from ucf_vit.training.run_directory import locked, open_directory
from ucf_vit.training.saved_runs.pretrained import first_classes_of, start_from, start_from_mae
from ucf_vit.training.saved_runs.restore import resume
from ucf_vit.training.saved_runs.retention import save_if_good, save_slot
from ucf_vit.training.saved_runs.weights_files import start_from_file
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings
from ucf_vit.training.validation import evaluate

log = logging.getLogger(__name__)


def train_task(task: Task, run: Run, world: World, hooks: Sequence[Hook] = ()) -> bool:
    """Trains, validates and checkpoints `task` as `run` says; returns False if a signal ended it early.

    `hooks` are called in addition to the built-in ones and those of `trainer.hooks`: on the first rank, or on
    every rank if they have `every_rank`. The config that is saved names the class of `task`.
    """
    run = naming_task(run, task)
    with locked(Path(run.trainer.checkpoint_path), world) as check:
        newest, notes = open_directory(run, world)
        set_up(Path(run.trainer.checkpoint_path) / "log.txt", rank=world.rank, ranks=world.size)
        for note in notes if world.is_main else ():
            log.warning(note)
        return _train(task, run, world, hooks, newest, Saver(world, run.trainer.checkpoint_async, check))


def _train(
    task: Task, run: Run, world: World, more: Sequence[Hook], newest: Checkpoint | None, saver: Saver
) -> bool:
    record = Record() if newest is None else Record.load(newest.meta, newest.directory, newest.state)
    record = replace(record, splits=world.on_main(lambda: begin_splits(run, record.splits)))
    first_classes = first_classes_of(run.trainer, world) if newest is None else ()
    data = build_data(run, world, task, prepare_plan(run, world, record), record, first_classes)
    for title, text in data.in_words().items() if world.is_main else ():
        log.info("%s: %s", title.lower(), text)
    with saver, closing(data):
        before = {} if newest is None else used_items(newest.state)
        if newest is None and run.trainer.use_pretrained_mae_model:
            before = start_from_mae(task, run)
        if newest is None and run.model.pretrained:
            start_from_file(task, run)
        replica = distribute_task(task, run, world)
        if newest is None and run.trainer.start_from:
            before = start_from(task, run, world)
        state = build_state(task, replica, run, world, data)
        if newest is not None:
            resume(state, run, newest)
        if run.trainer.ema_decay and state.ema is None:
            state.ema = Ema(task, run.trainer.ema_decay)
        hooks = build_hooks(run, world, data, more)
        saver.on_save = lambda name, seconds: _call_on_save(hooks, state, name, seconds)
        with closing(_used_items(run, world, data, before)) as state.items:
            check_copies(state.items, run, world)
            return _fit(state, build_loop(run, data, state.total_steps, saver), hooks, data)


def _used_items(run: Run, world: World, data: RunData, before: Mapping[Use, Rows]) -> UsedItems:
    """Returns the search for the items of a run, which the first process makes for all."""
    training, held_out = data.of_main(world)
    contents = compares_contents(run, [*training, *held_out])
    return UsedItems(training, held_out, before if world.is_main else {}, contents)


def _fit(state: State, loop: Loop, hooks: Sequence[Hook], data: RunData) -> bool:
    """Calls `fit`; hooks are called on an error, and a data worker that died raises an error that says so."""
    try:
        return fit(state, loop, hooks)
    except Exception as error:
        death = data.train.death(error) if isinstance(error, RuntimeError) else None
        _call_on_error(hooks, state, death or error)
        if death is None:
            raise
        raise death from error


def _call_on_save(hooks: Sequence[Hook], state: State, name: str, seconds: float) -> None:
    for hook in hooks:
        hook.on_save(state, name, seconds)


def _call_on_error(hooks: Sequence[Hook], state: State, error: Exception) -> None:
    """Calls `on_error` of all hooks; errors raised there are logged, so that they do not hide `error`."""
    for hook in hooks:
        try:
            hook.on_error(state, error)
        except Exception as second:
            log.warning("%s.on_error: %s: %s", type(hook).__name__, type(second).__name__, second)


def build_state(task: Task, replica: nn.Module, run: Run, world: World, data: RunData) -> State:
    """Returns the state of a run before its first step; a step calls `replica` in place of `task`."""
    options, trainer = run.optimizer, run.trainer
    state = State(
        task=task,
        replica=replica,
        optimizer=adamw(
            task,
            lr=options.lr,
            betas=(options.beta_1, options.beta_2),
            weight_decay=options.weight_decay,
        ),
        scale=LossScale(enabled=trainer.data_type == "float16"),
        stream=data.train,
        world=world,
        held_out=items_digest(data.held_out.datasets),
        record=data.record,
    )
    state.count(trainer)
    return state


def build_loop(run: Run, data: RunData, total_steps: int, saver: Saver) -> Loop:
    """Returns the settings of the loop, with the functions that validate and save."""
    trainer, rate = run.trainer, schedule(run.optimizer, total_steps)
    dtype = getattr(torch, trainer.data_type)
    return Loop(
        step=StepSettings(rate, dtype, trainer.gradient_clip, trainer.max_bad_losses, trainer.seed),
        validate=lambda state: _validate(state, data, dtype),
        judge=lambda state, metrics: save_if_good(state, run, saver, metrics),
        save=lambda state: save_slot(state, run, saver),
        accumulate_steps=trainer.accumulate_steps,
        log_steps=trainer.log_steps,
        checkpoint_steps=trainer.checkpoint_steps,
        validation_epochs=trainer.validation_epochs if data.has_validation else 0,
        early_stop_epochs=trainer.early_stop_epochs,
    )


def _validate(state: State, data: RunData, dtype: torch.dtype) -> dict[str, float]:
    """Returns the metrics on held-out data, with the averaged weights if there are any."""
    with state.averaged():
        metrics = evaluate(state.task, data.validation(), state.world, dtype)
    return {f"validation/{name}": value for name, value in metrics.items()}

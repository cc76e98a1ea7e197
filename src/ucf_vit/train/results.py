"""What a trained run is worth: held-out metrics of a checkpoint, beside a baseline, as a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table as TerminalTable

from ucf_vit.config import Run
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.core.log import say
from ucf_vit.data.batch import Batch, Sample
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.whole import volumes
from ucf_vit.parallel.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.tasks.threshold import fit_threshold
from ucf_vit.train import checkpoint
from ucf_vit.train.build import build_data, distributed
from ucf_vit.train.datasets import build_datasets
from ucf_vit.train.directory import load_for_inference
from ucf_vit.train.evaluate import evaluate
from ucf_vit.train.hooks.page import Table
from ucf_vit.train.hooks.report import environment, write_report

log = logging.getLogger(__name__)


def evaluate_task(task: Task, run: Run, world: World, *, name: str = "best", threshold: bool = False) -> None:
    """Evaluate the checkpoint `name` of a run, print a table and put it into the run's report.

    With `threshold`, beside it the Dice of the best intensity interval per class, fitted to the training
    volumes. Raises CheckpointError when there is no such checkpoint, UserError without held-out data.
    """
    directory = Path(run.trainer.checkpoint_path)
    read, _ = checkpoint.load_newest(directory, name, world)
    if read is None:
        raise CheckpointError(
            f"{directory}: no checkpoint {name!r}; train first, or name another with --checkpoint "
            "(without held-out data there is no best, but last)"
        )
    distributed(task, run, world)
    differing = load_for_inference(task, run, read)
    columns: dict[str, dict[str, float]] = {}
    with closing(build_data(run, world, task)) as data:
        if not data.has_validation:
            raise UserError(
                "no held-out data: set data.dict_end_idx, or dict_val_start_idx and dict_val_end_idx"
            )
        for dataset, text in data.listed.items() if world.is_main else ():
            say(f"{dataset}: {text}")
        dtype = getattr(torch, run.trainer.data_type)
        columns[run.task] = evaluate(task, data.validation(), world, dtype)
    if threshold and world.is_main:
        columns["intensity threshold"] = threshold_dice(task, run)
    if world.is_main:
        title = f"Held-out results of {read.directory} (step {read.meta['step']})"
        files = "; ".join(f"{dataset}: {text}" for dataset, text in data.listed.items())
        summary = {"Task": run.task, "Data": files}
        if read.has_average:
            summary["Weights"] = "averaged (trainer.ema_decay)"
        if differing:
            summary["Trained otherwise"] = "; ".join(differing)
        _print(title, columns)
        path = write_report(
            directory,
            title=f"{run.task}: {directory}",
            summary=summary,
            tables=[Table(title, _by_metric(columns))],
            best=task.best,
            environment=environment(world.device),
        )
        Console().print(f"report: {path}", soft_wrap=True, highlight=False)


def threshold_dice(task: Task, run: Run) -> dict[str, float]:
    """Dice per class on the held-out volumes of the best intensity intervals on the training volumes."""
    if not task.whole_volumes:
        raise UserError(f"--threshold compares segmentations; task {run.task} has none")
    scratch = Scratch()
    training, held_out = (build_datasets(run, scratch, held_out=held) for held in (False, True))
    baseline = fit_threshold(_samples(volumes(training)), run.num_classes)
    return baseline.dice(_samples(volumes(held_out)))


def _samples(batches: Iterator[Batch]) -> Iterator[Sample]:
    for batch in batches:
        label = None if batch.label is None else batch.label[0].numpy()
        yield Sample(batch.image[0].numpy(), label, batch.variables, batch.files[0])


def _by_metric(columns: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(name for metrics in columns.values() for name in metrics)
    return {
        name: {title: metrics[name] for title, metrics in columns.items() if name in metrics}
        for name in names
    }


def _print(title: str, columns: Mapping[str, Mapping[str, float]]) -> None:
    table = TerminalTable(title=title)
    table.add_column("metric")
    for column in columns:
        table.add_column(column, justify="right")
    for metric, values in _by_metric(columns).items():
        table.add_row(metric, *(f"{values[c]:.4f}" if c in values else "" for c in columns))
    Console().print(table)

"""Evaluation of a checkpoint, as `ucf-vit evaluate` does it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from ucf_vit import checkpoint
from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.dataset import Dataset
from ucf_vit.evaluation.cases.of_task import definitions_of, recorder_of
from ucf_vit.evaluation.output_place import OutputPlace
from ucf_vit.evaluation.results import Results, Show, show_nothing
from ucf_vit.evaluation.runs.baseline import check_segmentation, threshold_totals
from ucf_vit.evaluation.runs.choose_postprocessing import set_postprocessing
from ucf_vit.evaluation.runs.description import Predicted, described, notes_of
from ucf_vit.evaluation.runs.ensemble_members import further_members
from ucf_vit.evaluation.runs.request import EvaluationRequest
from ucf_vit.evaluation.runs.trained_items import Overlap
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import dice
from ucf_vit.tasks.task import Task
from ucf_vit.training.build import build_task
from ucf_vit.training.data_record import Record
from ucf_vit.training.evaluation_files import Metrics
from ucf_vit.training.hooks.report import environment
from ucf_vit.training.inputs.run_data import HeldOut
from ucf_vit.training.inputs.used_items import compares_contents, used_items
from ucf_vit.training.launch import find_place, in_mode_simple, start
from ucf_vit.training.same_on_all_ranks import check_data
from ucf_vit.training.saved_runs.open_ensemble import ensemble
from ucf_vit.training.saved_runs.open_run import find_run, read_checkpoint, record_of
from ucf_vit.training.saved_runs.open_trained import Trained, load_into
from ucf_vit.training.validation import evaluate_totals


def evaluate_run(
    path: Path,
    request: EvaluationRequest,
    overrides: Sequence[str] = (),
    task: str | None = None,
    show: Show = show_nothing,
) -> Results | None:
    """Evaluates the run of a config, a directory or a checkpoint, and writes its report.

    Returns the results, None on all ranks but the first. `show` gets them before they are written, which may
    fail. Raises UserError for an impossible request before computing anything.
    """
    trained = find_run(path, overrides, task)
    if trained.name and request.checkpoint:
        raise UserError(f"{path} is a checkpoint; leave --checkpoint {request.checkpoint} out")
    run = trained.run if find_place().size > 1 else in_mode_simple(trained.run)
    with start(run) as world:
        place = world.on_main(lambda: OutputPlace.choose(trained.directory, request.output))
        read = read_checkpoint(trained.directory, trained.name or request.checkpoint, world)
        record = record_of(read, run)
        return _evaluate(build_task(run, record), run, world, request, place, read, record, show)


def evaluate_task(
    task: Task,
    run: Run,
    world: World,
    request: EvaluationRequest | None = None,
    show: Show = show_nothing,
) -> Results | None:
    """Evaluates `task`, which the caller built, with the weights of a checkpoint of `run`; see
    `evaluate_run`.
    """
    request = request or EvaluationRequest()
    directory = Path(run.trainer.checkpoint_path)
    place = world.on_main(lambda: OutputPlace.choose(directory, request.output))
    read = read_checkpoint(directory, request.checkpoint, world)
    record = record_of(read, run)
    record.restore(task)
    return _evaluate(task, run, world, request, place, read, record, show)


def _evaluate(
    task: Task,
    run: Run,
    world: World,
    request: EvaluationRequest,
    place: OutputPlace,
    read: checkpoint.Checkpoint,
    record: Record,
    show: Show,
) -> Results | None:
    if request.threshold:
        check_segmentation(task, run.task)
    datasets = request.datasets(run, record)
    task.set_normalization({one.name: one.normalization for one in datasets})
    check_data(datasets, world)
    contents = compares_contents(run, datasets)
    overlap = world.on_main(lambda: _overlap(datasets, read, request, contents))
    members = [
        load_into(task, run, world, read, record),
        *further_members(request, datasets, contents, world),
    ]
    trained = ensemble(members)
    predicted = _predict(trained, datasets, world, request)
    if not world.is_main:
        return None
    columns: dict[str, Mapping[str, float]] = {run.task: trained.task.metrics(predicted.totals)}
    if request.threshold:
        columns["intensity threshold"] = dice.means(threshold_totals(run, record, datasets))
    notes = [*notes_of(request, overlap, read, predicted.skipped), *predicted.notes]
    evaluation = replace(
        described(trained, members, datasets, request, predicted),
        metrics={column: _finite(values) for column, values in columns.items()},
        notes=(*notes, *trained.task.definitions, *definitions_of(predicted.scored)),
        environment=environment(world.device),
    )
    show(evaluation, notes)
    files = place.write(
        evaluation, request.file_name(_plain(read.directory.name)), run.task, predicted.scored
    )
    return Results(evaluation, tuple(notes), tuple(files), predicted.scored)


def _predict(
    trained: Trained[Task], datasets: Sequence[Dataset], world: World, request: EvaluationRequest
) -> Predicted:
    """Predicts all items, with the post-processing of the run or the one that is chosen now. Collective."""
    run, task = trained.run, trained.task
    with closing(HeldOut(run.data, run.trainer.seed, world, task, datasets, original=True)) as data:
        notes = set_postprocessing(trained, data, world, request)
        recorder = recorder_of(task, run, trained.record, datasets, bool(request.roots))
        dtype = getattr(torch, run.trainer.data_type)
        totals = evaluate_totals(task, data.batches(), world, dtype, recorder)
        scored = None if recorder is None else recorder.finish(world)
        skipped = {one.file: one for of_rank in world.gather(data.skipped) for one in of_rank}
    return Predicted(totals, scored, tuple(skipped.values()), tuple(notes))


def _overlap(
    datasets: Sequence[Dataset], read: checkpoint.Checkpoint, request: EvaluationRequest, contents: bool
) -> Overlap:
    overlap = Overlap.of(datasets, used_items(read.state), contents)
    overlap.check(request.allow_trained)
    return overlap


def _finite(values: Mapping[str, float]) -> Metrics:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _plain(checkpoint_name: str) -> str:
    """Returns the name of a checkpoint without its slot: `last` for `last_even`."""
    return checkpoint_name.removesuffix("_even").removesuffix("_odd")

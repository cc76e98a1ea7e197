"""Evaluation of a checkpoint, as `ucf-vit evaluate` does it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch

from ucf_vit import checkpoint
from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Skipped
from ucf_vit.data.class_names import in_words
from ucf_vit.data.dataset import Dataset
from ucf_vit.evaluation.baseline import check_segmentation, threshold_totals
from ucf_vit.evaluation.cases.of_task import definitions_of, recorder_of, titles_of
from ucf_vit.evaluation.choose_postprocessing import set_postprocessing
from ucf_vit.evaluation.ensemble_members import further_members
from ucf_vit.evaluation.grids import grids_in_words
from ucf_vit.evaluation.output_place import OutputPlace
from ucf_vit.evaluation.request import EvaluationRequest
from ucf_vit.evaluation.results import Results, Show, show_nothing
from ucf_vit.evaluation.trained_items import Overlap, few
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import dice
from ucf_vit.tasks.task import Task
from ucf_vit.training.build import build_task
from ucf_vit.training.data_record import Record
from ucf_vit.training.evaluation_files import Evaluation, Metrics
from ucf_vit.training.hooks.report import CHOSEN, environment
from ucf_vit.training.inputs.run_data import HeldOut
from ucf_vit.training.inputs.used_items import compares_contents, used_items
from ucf_vit.training.launch import find_place, in_mode_simple, start
from ucf_vit.training.same_on_all_ranks import check_data
from ucf_vit.training.saved_runs.open_ensemble import ensemble
from ucf_vit.training.saved_runs.open_run import find_run, read_checkpoint, record_of
from ucf_vit.training.saved_runs.open_trained import load_into
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
    trained = load_into(task, run, world, read, record)
    members = [trained, *further_members(request, datasets, contents, world)]
    trained = ensemble(members)
    task = trained.task
    with closing(HeldOut(run.data, run.trainer.seed, world, task, datasets, original=True)) as data:
        postprocessing = set_postprocessing(trained, data, world, request)
        recorder = recorder_of(task, run, record, datasets, bool(request.roots))
        dtype = getattr(torch, run.trainer.data_type)
        totals = evaluate_totals(task, data.batches(), world, dtype, recorder)
        scored = None if recorder is None else recorder.finish(world)
        skipped = {one.file: one for of_rank in world.gather(data.skipped) for one in of_rank}
    if not world.is_main:
        return None
    columns: dict[str, Mapping[str, float]] = {run.task: task.metrics(totals)}
    if request.threshold:
        columns["intensity threshold"] = dice.means(threshold_totals(run, record, datasets))
    notes = [
        *_selection_notes(request, overlap, read),
        *overlap.notes(),
        *_skip_notes(list(skipped.values())),
        *postprocessing,
    ]
    averaged = {"Weights": "averaged (trainer.ema_decay)"} if trained.averaged else {}
    evaluation = Evaluation(
        title=f"{trained.directory} (step {trained.step}) on {request.on}",
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        facts={
            "Checkpoint": f"{trained.directory.name}, step {trained.step}",
            "Items": _counts(datasets, task),
            "Not evaluated": f"{len(skipped)} unreadable" if skipped else "0",
            "Data": "; ".join(f"{one.name}: {one.listed}" for one in datasets),
            **grids_in_words(datasets, task),
            **({"Classes": in_words(record.class_names)} if record.class_names else {}),
            **averaged,
            **({"Mean of": ", ".join(str(one.directory) for one in members)} if len(members) > 1 else {}),
            **(
                {"Trained with other settings": "; ".join(trained.differences)} if trained.differences else {}
            ),
        },
        metrics={column: _finite(values) for column, values in columns.items()},
        counts=task.counts(totals),
        notes=(*notes, *task.definitions, *definitions_of(scored)),
        summary=scored.summary() if scored else {},
        titles=record.titles | (titles_of(scored.table.metrics) if scored else {}),
        items=_names(datasets),
        environment=environment(world.device),
    )
    show(evaluation, notes)
    files = place.write(evaluation, request.file_name(_plain(read.directory.name)), run.task, scored)
    return Results(evaluation, tuple(notes), tuple(files), scored)


def _overlap(
    datasets: Sequence[Dataset], read: checkpoint.Checkpoint, request: EvaluationRequest, contents: bool
) -> Overlap:
    overlap = Overlap.of(datasets, used_items(read.state), contents)
    overlap.check(request.allow_trained)
    return overlap


def _selection_notes(request: EvaluationRequest, overlap: Overlap, read: checkpoint.Checkpoint) -> list[str]:
    """Returns a note if the checkpoint was chosen as the best on these items."""
    if not read.directory.name.startswith(checkpoint.BEST):
        return []
    if request.split == "validation" and not request.roots:
        return [CHOSEN]
    validated = overlap.used.get("validated", ())
    if not validated:
        return []
    return [f"{len(validated)} of {overlap.total} items chose the checkpoint as the best: {few(validated)}."]


def _skip_notes(skipped: Sequence[Skipped]) -> list[str]:
    if not skipped:
        return []
    return [f"{len(skipped)} unreadable items are skipped: {few([one.file for one in skipped])}."]


def _counts(datasets: Sequence[Dataset], task: Task) -> str:
    """Returns the number of items, and that of tiles if the task is evaluated on tiles."""
    items = f"{sum(len(one.items) for one in datasets):,}"
    return items if task.facts.whole_items else f"{items} ({sum(map(len, datasets)):,} tiles)"


def _names(datasets: Sequence[Dataset]) -> dict[str, tuple[str, ...]]:
    """Returns the names of the items by data set, with its root if the source has one."""
    names: dict[str, tuple[str, ...]] = {}
    for one in datasets:
        root = getattr(one.source, "root", None)
        title = one.name if root is None else f"{one.name} ({root})"
        names[title] = (*names.get(title, ()), *(item.key for item in one.items))
    return names


def _finite(values: Mapping[str, float]) -> Metrics:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _plain(checkpoint_name: str) -> str:
    """Returns the name of a checkpoint without its slot: `last` for `last_even`."""
    return checkpoint_name.removesuffix("_even").removesuffix("_odd")

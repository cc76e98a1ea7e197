"""Facts and notes of an evaluation of a run, as its tables and its report show them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from ucf_vit import checkpoint
from ucf_vit.core.lists import few
from ucf_vit.data.batch import Skipped
from ucf_vit.data.class_names import in_words
from ucf_vit.data.dataset import Dataset
from ucf_vit.evaluation.cases.of_task import titles_of
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.runs.grids import grids_in_words
from ucf_vit.evaluation.runs.request import EvaluationRequest
from ucf_vit.evaluation.runs.trained_items import Overlap
from ucf_vit.tasks.task import Task
from ucf_vit.training.evaluation_files import Evaluation
from ucf_vit.training.hooks.report import CHOSEN
from ucf_vit.training.saved_runs.open_trained import Trained


class Predicted(NamedTuple):
    """Results of all items: totals, scores of cases, unreadable items, and notes on the post-processing."""

    totals: Mapping[str, Tensor]
    scored: Scored | None
    skipped: Sequence[Skipped]
    notes: Sequence[str]


def described(
    trained: Trained[Task],
    members: Sequence[Trained[Task]],
    datasets: Sequence[Dataset],
    request: EvaluationRequest,
    predicted: Predicted,
) -> Evaluation:
    """Returns title, facts, counts and scores of an evaluation, still without metrics and notes."""
    task, record, scored = trained.task, trained.record, predicted.scored
    facts = {
        "Checkpoint": f"{trained.directory.name}, step {trained.step}",
        "Items": _counts(datasets, task),
        "Not evaluated": f"{len(predicted.skipped)} unreadable" if predicted.skipped else "0",
        "Data": "; ".join(f"{one.name}: {one.listed}" for one in datasets),
        **grids_in_words(datasets, task),
    }
    if record.class_names:
        facts["Classes"] = in_words(record.class_names)
    if trained.averaged:
        facts["Weights"] = "averaged (trainer.ema_decay)"
    if len(members) > 1:
        facts["Mean of"] = ", ".join(str(one.directory) for one in members)
    if trained.differences:
        facts["Trained with other settings"] = "; ".join(trained.differences)
    return Evaluation(
        title=f"{trained.directory} (step {trained.step}) on {request.on}",
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        facts=facts,
        metrics={},
        counts=task.counts(predicted.totals),
        summary=scored.summary() if scored else {},
        titles=task.titles(record.label_names) | (titles_of(scored.table.metrics) if scored else {}),
        items=_names(datasets),
    )


def notes_of(
    request: EvaluationRequest, overlap: Overlap, read: checkpoint.Checkpoint, skipped: Sequence[Skipped]
) -> list[str]:
    """Returns notes on the choice of the checkpoint, items that were trained on, and unreadable ones."""
    notes = [*_selection_notes(request, overlap, read), *overlap.notes()]
    if skipped:
        notes.append(f"{len(skipped)} unreadable items are skipped: {few([one.file for one in skipped])}.")
    return notes


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

"""The scores that belong to a task, and how tables call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ucf_vit.config import Run
from ucf_vit.data.dataset import Dataset
from ucf_vit.evaluation.cases.named_cases import NamedCases
from ucf_vit.evaluation.cases.record import (
    ClassificationRecorder,
    ReconstructionRecorder,
    Recorder,
    Scored,
    SegmentationRecorder,
)
from ucf_vit.metrics.policy import Metric
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import Task
from ucf_vit.training.data_record import Record

POLICY = (
    "Scores of cases: a structure that is missed, or predicted where none is labelled, has the worst score "
    "(0, a volume error of 1, or the diagonal of the image in mm); one that is in neither does not count."
)
INTERVALS = "Intervals are 95 % intervals, from a bootstrap over groups (patients)."


def recorder_of(
    task: Task, run: Run, record: Record, datasets: Sequence[Dataset], other_data: bool
) -> Recorder | None:
    """Returns what scores the cases of an evaluation of `task`; None for tasks without such scores."""
    if not isinstance(task, Segmentation | Classification | MaskedAutoencoding):
        return None
    cases = NamedCases(datasets, run.data.groups, other_data)
    if isinstance(task, Segmentation):
        return SegmentationRecorder(cases, task.num_classes, record.label_names)
    if isinstance(task, Classification):
        return ClassificationRecorder(cases, record.class_names)
    return ReconstructionRecorder(cases)


def definitions_of(scored: Scored | None) -> tuple[str, ...]:
    """Returns sentences that define the scores of cases."""
    if scored is None:
        return ()
    return (POLICY, INTERVALS) if "dice" in scored.table.metrics else (INTERVALS,)


def titles_of(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Returns the titles of scores by name."""
    return {name: titled(one) for name, one in metrics.items()}


def titled(metric: Metric) -> str:
    """Returns the title of a score with its unit."""
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title

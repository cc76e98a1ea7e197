"""Ensembles: predictions averaged over several networks and over mirrored images."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)
Change: TypeAlias = Mapping[str, tuple[float, float]]
"""Factor and offset by name of the variable: they bring values as the first member gets them to those that
another one was trained on. Empty: these are the same."""


def ensemble_of(
    tasks: Sequence[TaskT], mirror: bool = False, changes: Mapping[str, Sequence[Change]] | None = None
) -> TaskT:
    """Returns a task that predicts and evaluates with the mean logits of `tasks`, tile by tile.

    It is a copy of the first one that shares its weights, so it has its tiles, overlap and metrics. With
    `mirror` each of them also predicts the tiles flipped along every combination of spatial axes, as nnU-Net
    does. `changes` has one for each task, by data set; with any, images are predicted by `for_dataset`.
    Logits are averaged before windows are blended, so that memory is that of one task. Raises UserError for
    tasks without logits, and for tasks that predict whole items in a way of their own.
    """
    first = tasks[0]
    if len(tasks) == 1 and not mirror:
        return first
    what = "an ensemble averages" if len(tasks) > 1 else "mirroring averages"
    if not isinstance(first, Segmentation | Classification):
        raise UserError(f"{what} the logits of classes, and {type(first).__name__} predicts none")
    if type(first).predict_whole not in (Segmentation.predict_whole, Classification.predict_whole):
        raise UserError(f"{what} tiles, and {type(first).__name__} has a predict_whole of its own")
    combined = copy.copy(first)
    combined.ensemble = MeanOfTiles(tuple(tasks), mirror, changes or {})
    return combined


def for_dataset(task: TaskT, name: str) -> TaskT:
    """Returns the task that predicts images of the data set `name`.

    It is `task` itself, or a copy of an ensemble whose members each get the values they were trained on.
    """
    if not isinstance(task.ensemble, MeanOfTiles) or not task.ensemble.changes:
        return task
    chosen = copy.copy(task)
    chosen.ensemble = replace(task.ensemble, dataset=name)
    return chosen


@dataclass(frozen=True)
class MeanOfTiles:
    """Mean output `[B, K, ...]` float32 of `members` for tiles `[B, C, *T]`, with `mirror` also flipped.

    `changes` has one for each member, by data set; `dataset` is that of the tiles.
    """

    members: tuple[Task, ...]
    mirror: bool
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    dataset: str | None = None

    def __call__(self, tile: Tensor, variables: Sequence[str] | None) -> Tensor:
        """Returns the mean; outputs with spatial axes are flipped back."""
        if self.changes and self.dataset is None:
            raise ValueError("the members have values of their own for each data set: use for_dataset")
        changes = self.changes.get(self.dataset or "") or [{}] * len(self.members)
        total: Tensor | None = None
        flips = list(_flips(tile)) if self.mirror else [()]
        for axes in flips:
            flipped = tile.flip(axes) if axes else tile
            for member, change in zip(self.members, changes, strict=True):
                output = member.tile_output(_changed(flipped, variables, change), variables).float()
                output = output.flip(axes) if axes and output.ndim == tile.ndim else output
                total = output.clone() if total is None else total.add_(output)
        assert total is not None
        return total.div_(len(flips) * len(self.members))


def _changed(tile: Tensor, variables: Sequence[str] | None, change: Change) -> Tensor:
    """Returns the values of a tile `[B, C, *T]` as a member gets them.

    0 stays 0: it stands for missing values, and for what is beyond the image.
    """
    if not change:
        return tile
    pairs = tile.new_tensor([change[name] for name in variables or change])  # [C, 2]
    factor, offset = pairs.view(-1, 2, *(1,) * (tile.ndim - 2)).unbind(1)
    return torch.where(tile == 0, tile, tile * factor + offset)


def _flips(tile: Tensor) -> Iterator[tuple[int, ...]]:
    """Yields all sets of spatial axes of `[B, C, *T]`, the empty one first."""
    axes = range(2, tile.ndim)
    return itertools.chain.from_iterable(itertools.combinations(axes, n) for n in range(len(axes) + 1))

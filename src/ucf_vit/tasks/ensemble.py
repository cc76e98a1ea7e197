"""Ensembles: predictions averaged over several networks and over mirrored images."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)


def ensemble_of(tasks: Sequence[TaskT], mirror: bool = False) -> TaskT:
    """Returns a task that predicts and evaluates with the mean logits of `tasks`, tile by tile.

    It is a copy of the first one that shares its weights, so it has its tiles, overlap and metrics. With
    `mirror` each of them also predicts the tiles flipped along every combination of spatial axes, as nnU-Net
    does. Logits are averaged before windows are blended, so that memory is that of one task. Raises UserError
    for tasks without logits, and for tasks that predict whole items in a way of their own.
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
    combined.ensemble = MeanOfTiles(tuple(tasks), mirror)
    return combined


@dataclass(frozen=True)
class MeanOfTiles:
    """Mean output `[B, K, ...]` float32 of `members` for tiles `[B, C, *T]`, with `mirror` also flipped."""

    members: tuple[Task, ...]
    mirror: bool

    def __call__(self, tile: Tensor, variables: Sequence[str] | None) -> Tensor:
        """Returns the mean; outputs with spatial axes are flipped back."""
        total: Tensor | None = None
        flips = list(_flips(tile)) if self.mirror else [()]
        for axes in flips:
            flipped = tile.flip(axes) if axes else tile
            for member in self.members:
                output = member.tile_output(flipped, variables).float()
                output = output.flip(axes) if axes and output.ndim == tile.ndim else output
                total = output.clone() if total is None else total.add_(output)
        assert total is not None
        return total.div_(len(flips) * len(self.members))


def _flips(tile: Tensor) -> Iterator[tuple[int, ...]]:
    """Yields all sets of spatial axes of `[B, C, *T]`, the empty one first."""
    axes = range(2, tile.ndim)
    return itertools.chain.from_iterable(itertools.combinations(axes, n) for n in range(len(axes) + 1))

"""Scores the predictions of a run case by case, while they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.data.batch import Batch
from ucf_vit.data.geometry.undo import values_to_original
from ucf_vit.evaluation.cases.classified import ClassifiedCase, ClassifiedCases
from ucf_vit.evaluation.cases.named_cases import NamedCase, NamedCases
from ucf_vit.evaluation.cases.summary import summarise
from ucf_vit.evaluation.cases.table import Row, Scores, distinct
from ucf_vit.evaluation.cases.views import Gallery, View, view_of, view_of_picture
from ucf_vit.metrics.policy import RECONSTRUCTION, SEGMENTATION, ClassScores
from ucf_vit.metrics.reconstruction import psnr, ssim
from ucf_vit.metrics.segmentation import Labels, score_case
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.evaluation_files import Summary


class Scored(NamedTuple):
    """Scores of all cases, the cases to look at, and the names of the classes by number."""

    table: Scores | ClassifiedCases
    gallery: Gallery
    names: Mapping[int, str] = MappingProxyType({})

    def summary(self) -> dict[str, dict[str, Summary]]:
        """Returns mean, median and interval of each score by class."""
        return summarise(self.table) if isinstance(self.table, Scores) else self.table.summary()


class Recorder(Protocol):
    """Listens to the predictions of an evaluation on one process."""

    def __call__(self, batch: Batch, predicted: Tensor, target: Tensor) -> None:
        """Scores the samples of a batch."""

    def finish(self, world: World) -> Scored:
        """Returns the scores of all processes. Collective."""


class SegmentationRecorder:
    """Scores of each class of segmented items, one item at a time; see `ucf_vit.metrics.policy`."""

    def __init__(self, cases: NamedCases, num_classes: int, names: Mapping[int, str]) -> None:
        self._cases = cases
        self._num_classes = num_classes
        self._names = distinct(
            {number: names.get(number, f"class {number}") for number in range(1, num_classes)}
        )
        self._scored: list[tuple[str, str, Sequence[ClassScores]]] = []
        self._gallery = Gallery()

    def __call__(self, batch: Batch, predicted: Tensor, target: Tensor) -> None:
        """Scores the items of a batch of class numbers `[B, *S]`."""
        for row in range(len(target)):
            case = self._cases.of(batch, row)
            ours, label = predicted[row].cpu().numpy(), target[row].cpu().numpy()
            scores = score_case(ours, label, self._num_classes, case.spacing)
            self._scored.append((case.name, case.group, scores))
            values = [one.values["dice"] for one in scores if one.values]
            if values:
                make = partial(_view, batch, row, label, ours, case)
                self._gallery.offer(case.name, float(np.mean(values)), make)

    def finish(self, world: World) -> Scored:
        """Returns the scores of all processes. Collective."""
        scored = [one for of_rank in world.gather(self._scored) for one in of_rank]
        gallery = Gallery.merged(world.gather(self._gallery))
        table = Scores.of_classes(scored, list(self._names.values()), SEGMENTATION)
        return Scored(table, gallery, self._names)


class ReconstructionRecorder:
    """PSNR and SSIM of reconstructed tiles, averaged over the tiles of each item."""

    def __init__(self, cases: NamedCases) -> None:
        self._cases = cases
        self._scored: list[tuple[str, str, tuple[float, float]]] = []

    def __call__(self, batch: Batch, predicted: Tensor, target: Tensor) -> None:
        """Scores the tiles of a batch of images `[B, C, *S]`; one that is not finite has the worst scores."""
        for row in range(len(target) if batch.counts else 0):
            case = self._cases.of(batch, row)
            image, true = _numpy(predicted[row]), _numpy(target[row])
            values = (psnr(image, true), ssim(image, true)) if np.isfinite(image).all() else (0.0, 0.0)
            self._scored.append((case.name, case.group, values))

    def finish(self, world: World) -> Scored:
        """Returns the scores of all processes; nothing is pictured. Collective."""
        tiles: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for of_rank in world.gather(self._scored):
            for name, group, values in of_rank:
                tiles.setdefault((name, group), []).append(values)
        rows = []
        for (name, group), some in sorted(tiles.items()):
            means = np.mean(some, axis=0).tolist()
            rows.append(Row(name, group, "image", "both", dict(zip(RECONSTRUCTION, means, strict=True))))
        return Scored(Scores(tuple(rows), RECONSTRUCTION), Gallery())


class ClassificationRecorder:
    """Probabilities of all classes of each image."""

    def __init__(self, cases: NamedCases, names: Sequence[str]) -> None:
        self._cases = cases
        self._names = names
        self._found: list[ClassifiedCase] = []
        self._gallery = Gallery()

    def __call__(self, batch: Batch, predicted: Tensor, target: Tensor) -> None:
        """Keeps the probabilities `[B, K]` of a batch of class numbers `[B]`."""
        for row, label in enumerate(target.tolist() if batch.counts else ()):
            case = self._cases.of(batch, row)
            one = ClassifiedCase.of(case.name, case.group, label, _numpy(predicted[row]))
            self._found.append(one)
            make = partial(_picture, batch.image[row])
            self._gallery.offer(case.name, float(one.probabilities[label]), make)

    def finish(self, world: World) -> Scored:
        """Returns the cases of all processes. Collective."""
        cases = [one for of_rank in world.gather(self._found) for one in of_rank]
        table = ClassifiedCases(tuple(sorted(cases, key=lambda one: one.case)), tuple(self._names))
        return Scored(table, Gallery.merged(world.gather(self._gallery)))


def _view(batch: Batch, row: int, label: Labels, predicted: Labels, case: NamedCase) -> View:
    """Returns a copy of an item, on the grid on which it is stored."""
    image = _numpy(batch.image[row, :1])
    if batch.original is not None:
        image = values_to_original(image, batch.original.grid, np.nan)
    return view_of(image[0], label, predicted, case.spacing, case.affine)


def _picture(image: Tensor) -> View:
    return view_of_picture(_numpy(image))


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().float().cpu().numpy())

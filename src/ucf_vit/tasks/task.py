"""Base class of tasks: a model with its randomness, loss and evaluation."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucf_vit.core.registry import Registry
from ucf_vit.data.batch import Batch
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.patching.sliding_window.windows import Region
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries import tasks
from ucf_vit.registries.tasks import TaskFacts
from ucf_vit.tasks.tile_prediction import assemble, predict_parts_in_tiles

Direction = Literal["min", "max"]
TileFunction = Callable[[Tensor, Sequence[str] | None], Tensor]
"""Maps tiles `[B, C, *T]` and the names of their channels to what `Task.predict` returns of them."""


@dataclass(frozen=True)
class Loss:
    """Loss of a batch: `value`, a mean over samples, is minimised; `metrics` are detached scalars to log."""

    value: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """A picture of the report: `image` is `[*S]`, 2D or 3D; for kind "label" it holds class numbers."""

    title: str
    image: NDArray[np.generic]
    kind: Literal["image", "label"] = "image"


class RunState(Protocol):
    """State of a run as tasks and hooks see it."""

    @property
    def step(self) -> int:
        """Number of finished optimizer steps."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""

    @property
    def total_steps(self) -> int:
        """Number of optimizer steps of the whole run."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer steps per epoch."""

    @property
    def shift(self) -> int:
        """Number of steps that the epochs so far had beyond `steps_per_epoch` each."""

    @property
    def task(self) -> Task:
        """The task itself, not its distributed wrapper."""

    def averaged(self) -> AbstractContextManager[None]:
        """Returns a context in which `task` has the averaged weights, if there are any."""


class Task(nn.Module):
    """Base class of tasks: a model with its loss and its evaluation.

    `draw` adds all random tensors to a batch, seeded by sample and not by process. `forward` is deterministic
    then, except for dropout and stochastic depth, so the loss does not depend on the layout of processes. A
    model whose `forward` has the parameter `variables` gets the names of the batch's channels.

    Args:
        model: network.
        patcher: cuts images into adaptive patches; None if the model takes images.
        tile_size: sides `[*S]` of the model's input tiles, for `predict_whole`; empty: whole images.
        overlap: fraction of a tile that neighbouring tiles have in common in `predict_whole`.
        windows: number of tiles per forward pass in `predict_whole`.
    """

    facts: ClassVar[TaskFacts] = TaskFacts()
    """Facts for config and data: kind of labels, augmentation, default network and so on."""

    metric_names: tuple[str, ...] = ("loss",)
    """Names of the metrics that `metrics` returns."""
    metric_titles: Mapping[str, str] = MappingProxyType({"loss": "Loss"})
    """Titles of the metrics that tables and curves show by another text than their name."""
    class_metrics: Mapping[str, int] = MappingProxyType({})
    """Class numbers of the metrics that are of one class only, such as `{"dice_1": 1}`."""
    best: tuple[str, Direction] = ("loss", "min")
    """Metric that chooses the best checkpoint, and whether its minimum or maximum is best."""
    class_names: tuple[str, ...] = ()
    """Names of the classes of whole images in the order of their numbers, if known."""
    definitions: tuple[str, ...] = ()
    """Sentences that define the metrics, shown beside tables."""
    ensemble: TileFunction | None = None
    """Predicts tiles in place of the task's own network; None: its own network does."""

    on_predicted: Callable[[Batch, Tensor, Tensor], None] | None = None
    """Called by `evaluate` with a batch, its predictions and its targets; set during an evaluation."""

    model: nn.Module
    patcher: AdaptivePatcher | None
    """Cuts images into adaptive patches; None if the model takes images."""

    def __init__(
        self,
        model: nn.Module,
        patcher: AdaptivePatcher | None = None,
        *,
        tile_size: Sequence[int] = (),
        overlap: float = 0.5,
        windows: int = 4,
    ) -> None:
        super().__init__()
        self.model = model
        self.patcher = patcher
        self.tile_size = tuple(tile_size)
        self.overlap = overlap
        self.windows = windows
        self._takes_variables = "variables" in inspect.signature(model.forward).parameters

    def name_classes(self, names: Sequence[str]) -> None:
        """Sets the names of the classes of whole images, in the order of their numbers."""
        self.class_names = tuple(names)

    def count_classes(self, counts: Sequence[int]) -> None:
        """Called before a training with the number of training items of each class of whole images."""

    def set_normalization(self, normalizations: Mapping[str, Normalization]) -> None:
        """Sets options that depend on the normalization of each data set, by name.

        Raises UserError if a normalization does not fit the task.
        """

    def titles(self, class_names: Mapping[int, str]) -> dict[str, str]:
        """Returns the titles of metrics by name; those of one class are the metric with the class's name.

        `class_names` are those of the classes of pixels, by number.
        """
        of_classes = {}
        for name, number in self.class_metrics.items():
            base = name.removesuffix(f"_{number}")
            title = self.metric_titles.get(base, base)
            of_classes[name] = f"{title}: {class_names.get(number, f'class {number}')}"
        return {**self.metric_titles, **of_classes}

    def data_facts(self) -> dict[str, Any]:
        """Returns facts about the data that the weights depend on, as JSON values, to be saved with them."""
        return {}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restores the facts that `data_facts` returned when the weights were trained."""

    def draw(self, batch: Batch) -> Batch:
        """Returns the batch with the random tensors that `forward` needs, if any."""
        return batch

    def forward(self, batch: Batch) -> Loss:
        """Returns the training loss of a batch from `draw`."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def after_step(self, state: RunState) -> None:
        """Called on every rank after each optimizer step that changed the weights, before the next batch.

        For example to update a teacher's average or a queue; `state.step` includes the step. Not called for a
        step that was skipped because its loss or gradient was not finite.
        """

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Returns totals (float64) by name, summed over batches and processes; `[sum, count]` of a mean."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluate")

    def report(self, batch: Batch, predicted: Tensor, target: Tensor) -> None:
        """Gives predictions and targets `[B, ...]` to `on_predicted`, if anybody listens.

        Class numbers of each pixel for segmentation, probabilities `[B, K]` and class numbers `[B]` for
        classification, images for reconstruction.
        """
        if self.on_predicted is not None:
            self.on_predicted(batch, predicted.detach(), target.detach())

    def totals(self) -> dict[str, Tensor]:
        """Returns totals of no sample: zeros."""
        return {name: torch.zeros(2, dtype=torch.float64) for name in self.metric_names}

    def metrics(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """Returns the metrics from `totals`; NaN for a metric without a value."""
        return {name: float(pair[0] / pair[1]) for name, pair in totals.items()}

    def best_by(self, metrics: Mapping[str, float]) -> tuple[str, Direction]:
        """Returns the metric that chooses the best checkpoint, for held-out data with these metrics."""
        return self.best

    def counts(self, totals: Mapping[str, Tensor]) -> dict[str, dict[str, int]]:
        """Returns numbers of samples by metric and kind, for metrics over samples of several kinds."""
        return {}

    def pictures(self, batch: Batch) -> list[Panel]:
        """Returns panels that show the model's prediction for the first sample of a batch; may be empty."""
        return []

    def patches_of(self, batch: Batch) -> Patches | None:
        """Returns the adaptive patches of a batch, see `adaptive_patches`; None if the model takes images."""
        return None if self.patcher is None else adaptive_patches(self.patcher, batch, self.training)

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Returns the model's output for images `[B, C, *S]` of `variables`, or for their patches."""
        return self.output_of(image if patches is None else patches, variables=variables)

    def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Returns what `predict` returns of tiles, `[B, K, *S]`, for images `[B, C, *S]` of any size.

        Overlapping tiles are blended by a Gaussian window; a task of 2D tiles predicts the slices of a volume
        along its last axis one by one.
        """
        return assemble(self._parts(image, variables, math.inf, None), image)

    def predict_parts(
        self,
        image: Tensor,
        variables: Sequence[str] | None = None,
        *,
        memory: float = math.inf,
        directory: Path | None = None,
    ) -> Iterator[tuple[Region, Tensor]]:
        """Yields the parts of `predict_whole`, each once, with predictions `[B, K, *P]`.

        At most `memory` bytes of predictions that are not complete yet are kept in memory, the rest in a
        temporary file in `directory`. A subclass with a `predict_whole` of its own has one part: all of it.
        """
        if type(self).predict_whole is not Task.predict_whole:
            whole = self.predict_whole(image, variables)
            return iter([(tuple(slice(0, side) for side in image.shape[2:]), whole)])
        return self._parts(image, variables, memory, directory)

    def _parts(
        self, image: Tensor, variables: Sequence[str] | None, memory: float, directory: Path | None
    ) -> Iterator[tuple[Region, Tensor]]:
        return predict_parts_in_tiles(
            partial(self.tile_output, variables=variables),
            image,
            self.tile_size or image.shape[2:],
            overlap=self.overlap,
            at_once=self.windows,
            memory=memory,
            directory=directory,
        )

    def tile_output(self, tile: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Returns what `predict` returns of tiles `[B, C, *T]`, along new trees if patches are adaptive.

        Of an ensemble (`tasks.ensemble`) it is the mean over its members.
        """
        if self.ensemble is not None:
            return self.ensemble(tile, variables)
        return self.predict(tile, None if self.patcher is None else self.patcher(tile), variables)

    def output_of(self, *inputs: Tensor | Patches, variables: Sequence[str] | None) -> Tensor:
        """Returns the model's output for `inputs`, whose channels are `variables`."""
        if self._takes_variables:
            return self.model(*inputs, variables=variables)
        return self.model(*inputs)


TASKS: Registry[Task] = tasks.TASKS
"""Tasks by the name that a config uses."""


def adaptive_patches(patcher: AdaptivePatcher, batch: Batch, training: bool) -> Patches:
    """Returns the patches of a batch, cut along the leaves from the loader or along new ones.

    Random options of new leaves are drawn with the samples' keys in `training`, else the middle of the range.
    """
    leaves = batch.leaves
    if leaves is None:
        leaves = patcher.grow(batch.image, batch.keys if training else None)
    return patcher.cut(batch.image, leaves)

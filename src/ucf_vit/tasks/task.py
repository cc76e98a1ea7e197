"""The root module of a run: randomness, loss and evaluation around one model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ucf_vit.core.registry import Registry
from ucf_vit.data.batch import Batch
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries import tasks
from ucf_vit.registries.tasks import TaskFacts
from ucf_vit.tasks.tile_prediction import predict_in_tiles

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class Loss:
    """`value` is to be minimised, a mean of per-sample means; `metrics` are detached scalars to log."""

    value: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """One picture of the report: `image` is `[*S]`, 2D or 3D; a label holds class numbers."""

    title: str
    image: NDArray[np.generic]
    kind: Literal["image", "label"] = "image"


class RunState(Protocol):
    """A run as tasks and hooks see it: `step` optimizer steps and `epoch` whole epochs are done."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""

    @property
    def epoch(self) -> int:
        """Epochs finished."""

    @property
    def total_steps(self) -> int:
        """Optimizer steps after which the run ends."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""

    @property
    def shift(self) -> int:
        """Steps that the epochs so far have more than `steps_per_epoch` each, where that number changed."""

    @property
    def task(self) -> Task:
        """The root module, not its distributed wrapper."""

    def averaged(self) -> AbstractContextManager[None]:
        """A context in which `task` has the weights to judge it by: averaged ones where there are some."""


class Task(nn.Module):
    """A model with what training it needs.

    `draw` adds all randomness to a batch, keyed by the sample and not by the process; `forward` is then
    deterministic (dropout and stochastic depth apart), so that no layout over processes can change a loss.
    A model whose `forward` takes `variables` gets the names of the batch's channels.

    Args:
        model: the network.
        patcher: cuts images into adaptive patches; None: the model takes images.
        tile_size: sides `[*S]` of the tiles that the model sees, for `predict_whole`; empty: of whole images.
        overlap: share of a tile that neighbouring tiles have in common in `predict_whole`.
        windows: tiles that `predict_whole` predicts at a time.
    """

    facts: ClassVar[TaskFacts] = TaskFacts()
    """Facts for config and data: labels, augmentation, the network to train, ..."""

    metric_names: tuple[str, ...] = ("loss",)
    """Names of the metrics that `metrics` returns."""
    best: tuple[str, Direction] = ("loss", "min")
    """The metric that says which checkpoint is the best one."""
    class_names: tuple[str, ...] = ()
    """Names of the classes of whole images in the order of their numbers, where they are known."""
    definitions: tuple[str, ...] = ()
    """Sentences that say how metrics are defined, for whoever reads a table of them."""

    model: nn.Module
    patcher: AdaptivePatcher | None
    """Makes what the model sees of an image with adaptive patching; None: the model takes images."""

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
        """Take the names of the classes of whole images, in the order of their numbers."""
        self.class_names = tuple(names)

    def settle(self, normalized: Mapping[str, Normalization]) -> None:
        """Take what was left open from how data sets are normalised. UserError where that does not fit."""

    def kept(self) -> dict[str, Any]:
        """Returns facts of the data, not of the config, that the weights depend on; values of JSON."""
        return {}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` returned when the weights were trained."""

    def draw(self, batch: Batch) -> Batch:
        """The batch with every random tensor that `forward` needs; the same batch where it needs none."""
        return batch

    def forward(self, batch: Batch) -> Loss:
        """Training loss of a drawn batch."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def after_step(self, state: RunState) -> None:
        """Called on every rank after each optimizer step that changed the weights, before the next batch.

        For what follows the weights, such as the average of a teacher or a queue; `state.step` counts the
        step. It is not called for a step that was left out since its loss or gradient was not finite.
        """

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Totals (float64) by name, which add up over batches and processes: of a mean `[sum, count]`."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluate")

    def totals(self) -> dict[str, Tensor]:
        """Returns the totals of no sample: zeros."""
        return {name: torch.zeros(2, dtype=torch.float64) for name in self.metric_names}

    def metrics(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """The metrics of all samples that `totals` are of; NaN where there is no value."""
        return {name: float(pair[0] / pair[1]) for name, pair in totals.items()}

    def best_by(self, metrics: Mapping[str, float]) -> tuple[str, Direction]:
        """The metric that says which checkpoint is the best one, on held-out data with these metrics."""
        return self.best

    def counts(self, totals: Mapping[str, Tensor]) -> dict[str, dict[str, int]]:
        """Numbers of samples by metric and kind, where a metric is made of samples of several kinds."""
        return {}

    def pictures(self, batch: Batch) -> list[Panel]:
        """Panels that show what the model does on the first sample of a batch; a task may have none."""
        return []

    def patches_of(self, batch: Batch) -> Patches | None:
        """Adaptive patches of a batch, see `adaptive_patches`; None where the model takes images."""
        return None if self.patcher is None else adaptive_patches(self.patcher, batch, self.training)

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """The model's output for images `[B, C, *S]` of `variables`, or for their patches where there are."""
        return self.output_of(image if patches is None else patches, variables=variables)

    def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Returns what `predict` returns of tiles, `[B, K, *S]`, for images `[B, C, *S]` of any size.

        Overlapping tiles are blended by a Gaussian window; a task of 2D tiles predicts the slices of a volume
        along its last axis one by one.
        """
        return predict_in_tiles(
            partial(self._predict_tile, variables=variables),
            image,
            self.tile_size or image.shape[2:],
            overlap=self.overlap,
            at_once=self.windows,
        )

    def _predict_tile(self, image: Tensor, variables: Sequence[str] | None) -> Tensor:
        return self.predict(image, None if self.patcher is None else self.patcher(image), variables)

    def output_of(self, *inputs: Tensor | Patches, variables: Sequence[str] | None) -> Tensor:
        """Returns the model's output for `inputs`, whose channels are `variables`."""
        if self._takes_variables:
            return self.model(*inputs, variables=variables)
        return self.model(*inputs)


TASKS: Registry[Task] = tasks.TASKS
"""Tasks by the name that a config uses."""


def adaptive_patches(patcher: AdaptivePatcher, batch: Batch, training: bool) -> Patches:
    """Patches of a batch, along the leaves that its loader has grown or along new ones.

    Random options of new ones are a function of the samples' keys in `training`, else the middle of a range.
    """
    leaves = batch.leaves
    if leaves is None:
        leaves = patcher.grow(batch.image, batch.keys if training else None)
    return patcher.cut(batch.image, leaves)


def total(values: Tensor, counts: Tensor | None = None) -> Tensor:
    """`[sum, count]` in float64 of values `[B]`, or of those that count, `[B]` bool.

    A value that counts and is NaN makes the sum NaN: a network that breaks down must not look better for it.
    """
    kept = values.detach() if counts is None else values.detach()[counts]
    kept = kept.cpu().double()
    return torch.stack([kept.sum(), kept.new_tensor(float(kept.numel()))])


def judged(values: Tensor, logits: Tensor) -> Tensor:
    """`values` `[B, ...]` that follow from the largest of `logits` `[B, K, *S]`; NaN where one is not finite.

    Else a network that breaks down would be one that always says class 0: that is the largest of NaN.
    """
    axes = tuple(range(1, logits.ndim))
    finite = logits.amin(axes).isfinite() & logits.amax(axes).isfinite()
    return values.masked_fill(~finite.view(-1, *[1] * (values.ndim - 1)), torch.nan)

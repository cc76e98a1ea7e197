"""Semantic segmentation: a class per pixel or voxel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks import dice
from ucf_vit.tasks.sums import nan_if_not_finite, sum_and_count, zero_if_not_finite
from ucf_vit.tasks.task import Direction, Loss, Panel, Task


class Segmentation(Task):
    """Semantic segmentation: cross-entropy plus soft Dice loss; Dice of whole items, see `dice.DEFINITION`.

    Whole items are predicted with a sliding window of `tile_size` and Gaussian-weighted logits; `overlap` is
    the fraction that two windows share. A 2D model predicts the slices of a volume one by one.

    With `ignores`, voxels with a negative label count in no loss and no metric.
    """

    facts = BUILT_IN["segmentation"]
    metric_titles: Mapping[str, str] = MappingProxyType({"loss": "Loss", "dice": "Dice"})
    best: tuple[str, Direction] = ("dice", "max")
    definitions = (dice.DEFINITION,)
    postprocess: Callable[[NDArray[Any], Batch], NDArray[Any]] | None = None
    """Changes the classes `[*S]` of the whole item in a batch of one; None: they stay as they are."""

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        tile_size: Sequence[int],
        overlap: float = 0.5,
        windows: int = 4,
        patcher: AdaptivePatcher | None = None,
        ignores: bool = False,
    ) -> None:
        super().__init__(model, patcher, tile_size=tile_size, overlap=overlap, windows=windows)
        self.num_classes = num_classes
        self.ignores = ignores
        self.class_metrics = {f"dice_{k}": k for k in range(1, num_classes)}
        self.metric_names = ("loss", "dice", *self.class_metrics)

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean over samples of cross-entropy + soft Dice loss."""
        logits = self.predict(batch.image, self.patches_of(batch), batch.variables).float()
        label = voxel_label(batch)
        return Loss(segmentation_loss(logits, label, self.counted(label)).mean())

    def counted(self, label: Tensor) -> Tensor | None:
        """Returns the mask of voxels that count; None: all."""
        return label >= 0 if self.ignores else None

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Returns logits `[B, K, *S]` of tiles `[B, C, *S]`; the model gets image and adaptive patches."""
        return self.output_of(image, *(() if patches is None else (patches,)), variables=variables)

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the totals of the loss and, by class, of the Dice of whole items; see `dice.totals_of`.

        If the batch has the label on the grid on which an item is stored, Dice is computed on that grid.
        """
        label = voxel_label(batch)
        logits = self.predict_whole(batch.image, batch.variables)
        predicted, true = self.classes_of(batch, logits)
        if self.postprocess is not None:
            changed = self.postprocess(predicted[0].cpu().numpy(), batch)
            predicted = torch.from_numpy(changed)[None].to(predicted.device)
        totals = dice.totals_of_labels(predicted, true, self.num_classes)
        self.report(batch, zero_if_not_finite(predicted, logits), true)
        totals[:, 0] += nan_if_not_finite(logits.new_zeros(len(label)), logits).sum().cpu()
        counts = self.counted(label)
        loss = nan_if_not_finite(segmentation_loss(logits, label, counts), logits)
        counted = None if counts is None else counts.flatten(1).any(dim=1)
        return {"loss": sum_and_count(loss, counted), "dice": totals}

    def classes_of(self, batch: Batch, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Returns predicted classes and labels `[B, *S]`, on the grid on which an item is stored if known."""
        if batch.original is not None:
            return batch.original.classes(logits), batch.original.label
        return logits.argmax(dim=1), voxel_label(batch)

    def totals(self) -> dict[str, Tensor]:
        """Returns totals of no item: zeros."""
        means = {name: total for name, total in super().totals().items() if not name.startswith("dice")}
        return {**means, "dice": dice.empty_totals(self.num_classes)}

    def metrics(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """Returns loss, further means of a subclass, mean Dice, and the Dice of each foreground class."""
        means = {name: total for name, total in totals.items() if name != "dice"}
        return super().metrics(means) | dice.means(totals["dice"])

    def best_by(self, metrics: Mapping[str, float]) -> tuple[str, Direction]:
        """Returns the Dice, or the loss if no held-out label has any class, so that there is no Dice.

        An output that is not finite makes both NaN, so that the loss does not replace a broken Dice.
        """
        return ("loss", "min") if math.isnan(metrics["dice"]) else self.best

    def counts(self, totals: Mapping[str, Tensor]) -> dict[str, dict[str, int]]:
        """Returns, by class, the numbers of items by kind; see `dice.COLUMNS`."""
        return dice.counts(totals["dice"])

    def pictures(self, batch: Batch) -> list[Panel]:
        """Returns image, label and prediction of the first item."""
        predicted = self.predict_whole(batch.image[:1], batch.variables).argmax(dim=1)
        return [
            Panel("image", batch.image[0, 0].float().cpu().numpy()),
            Panel("label", voxel_label(batch)[0].cpu().numpy(), "label"),
            Panel("prediction", predicted[0].cpu().numpy(), "label"),
        ]


def segmentation_loss(logits: Tensor, label: Tensor, counts: Tensor | None = None) -> Tensor:
    """Returns cross-entropy + (1 - soft Dice) per sample, `[B]`, of logits `[B, K, *S]` and label `[B, *S]`.

    `counts` `[B, *S]` bool is the mask of pixels that count (default: all); the loss of a sample without any
    is 0.

    The Dice part follows Milletari et al. 2016 (V-Net) without squares in the denominator, averaged over the
    classes in the sample's label. The Dice of an absent class would be 0 for any prediction of it, which
    trains the network to ignore rare classes; cross-entropy already counts such false positives.
    """
    label = label if counts is None else label.clamp_min(0)
    entropy = F.cross_entropy(logits, label, reduction="none").flatten(1)
    probability = logits.softmax(dim=1).flatten(2)
    target = F.one_hot(label.flatten(1), logits.shape[1]).movedim(-1, 1).to(probability.dtype)
    mask = None if counts is None else counts.flatten(1).to(entropy.dtype)
    if mask is None:
        entropy = entropy.mean(dim=1)
    else:
        entropy = (entropy * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
        probability, target = probability * mask[:, None], target * mask[:, None]
    overlap = (probability * target).sum(dim=2)
    size = probability.sum(dim=2) + target.sum(dim=2)
    present = target.any(dim=2)
    dice = (2 * overlap / size.clamp_min(1e-5) * present).sum(dim=1) / present.sum(dim=1).clamp_min(1)
    loss = entropy + 1 - dice
    return loss if mask is None else loss * mask.amax(dim=1)


def voxel_label(batch: Batch) -> Tensor:
    """Returns the label `[B, *S]` of a batch. Raises UserError if the data set has none."""
    if batch.label is None or batch.label.ndim != batch.image.ndim - 1:
        raise UserError(
            f"data set {batch.dataset!r} has no label per voxel ({batch.files[0]}); segmentation needs one"
        )
    return batch.label

"""Semantic segmentation: a class per pixel or voxel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks import dice
from ucf_vit.tasks.task import Direction, Loss, Panel, Task, judged, total


class Segmentation(Task):
    """Cross-entropy plus soft Dice loss; Dice per class of whole volumes, as `dice.DEFINITION` has it.

    Whole items are predicted by a sliding window of `tile_size` whose Gaussian-weighted logits are blended;
    `overlap` is the fraction two windows share. A 2D model predicts the slices of a volume one by one.

    With `ignores` voxels may have a negative label: they count in no loss and no metric.
    """

    facts = BUILT_IN["segmentation"]
    best: tuple[str, Direction] = ("dice", "max")
    definitions = (dice.DEFINITION,)

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
        classes = [f"dice_{k}" for k in range(1, num_classes)]
        self.metric_names = ("loss", "dice", *classes)

    def forward(self, batch: Batch) -> Loss:
        """Mean over samples of cross-entropy + soft Dice loss."""
        logits = self.predict(batch.image, self.patches_of(batch), batch.variables).float()
        label = voxel_label(batch)
        return Loss(segmentation_loss(logits, label, self.counted(label)).mean())

    def counted(self, label: Tensor) -> Tensor | None:
        """Which voxels of a label count; None: all."""
        return label >= 0 if self.ignores else None

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Logits `[B, K, *S]` of tiles `[B, C, *S]`; the model gets the image beside its patches."""
        return self.output_of(image, *(() if patches is None else (patches,)), variables=variables)

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Totals of the loss and, by class, of the Dice of whole items; see `dice.totals_of`.

        Dice is that on the grid on which an item is stored, where the batch has its label on it.
        """
        label = voxel_label(batch)
        logits = self.predict_whole(batch.image, batch.variables)
        predicted, true = logits.argmax(dim=1), label
        if batch.original is not None:
            predicted, true = batch.original.classes(logits), batch.original.label
        totals = dice.totals_of_labels(predicted, true, self.num_classes)
        totals[:, 0] += judged(logits.new_zeros(len(label)), logits).sum().cpu()
        counts = self.counted(label)
        loss = judged(segmentation_loss(logits, label, counts), logits)
        counted = None if counts is None else counts.flatten(1).any(dim=1)
        return {"loss": total(loss, counted), "dice": totals}

    def totals(self) -> dict[str, Tensor]:
        """Returns the totals of no item."""
        return {"loss": torch.zeros(2, dtype=torch.float64), "dice": dice.empty_totals(self.num_classes)}

    def metrics(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """Loss, dice and the Dice of each foreground class."""
        return super().metrics({"loss": totals["loss"]}) | dice.means(totals["dice"])

    def best_by(self, metrics: Mapping[str, float]) -> tuple[str, Direction]:
        """Returns the Dice, or the loss if no held-out label has any class, so that there is no Dice.

        An output that is not finite makes both NaN, so that the loss does not replace a broken Dice.
        """
        return ("loss", "min") if math.isnan(metrics["dice"]) else self.best

    def counts(self, totals: Mapping[str, Tensor]) -> dict[str, dict[str, int]]:
        """By class, how many items have it, miss it, have it only in the prediction, or not at all."""
        return dice.counts(totals["dice"])

    def pictures(self, batch: Batch) -> list[Panel]:
        """Image, label and prediction of the first item."""
        predicted = self.predict_whole(batch.image[:1], batch.variables).argmax(dim=1)
        return [
            Panel("image", batch.image[0, 0].float().cpu().numpy()),
            Panel("label", voxel_label(batch)[0].cpu().numpy(), "label"),
            Panel("prediction", predicted[0].cpu().numpy(), "label"),
        ]


def segmentation_loss(logits: Tensor, label: Tensor, counts: Tensor | None = None) -> Tensor:
    """Cross-entropy + (1 - soft Dice) per sample, `[B]`; logits `[B, K, *S]`, label `[B, *S]`.

    `counts` `[B, *S]` bool says which pixels do (default: all); the loss of a sample without any is 0.

    The Dice part follows Milletari et al. 2016 (V-Net) without squares in the denominator, averaged over the
    classes that the sample's label holds: an absent class can only lower it to zero, which drives the network
    to forget rare classes; cross-entropy already counts its false positives.
    """
    label = label if counts is None else label.clamp_min(0)
    entropy = F.cross_entropy(logits, label, reduction="none").flatten(1)
    probability = logits.softmax(dim=1).flatten(2)
    target = F.one_hot(label.flatten(1), logits.shape[1]).movedim(-1, 1).to(probability.dtype)
    share = None if counts is None else counts.flatten(1).to(entropy.dtype)
    if share is None:
        entropy = entropy.mean(dim=1)
    else:
        entropy = (entropy * share).sum(dim=1) / share.sum(dim=1).clamp_min(1)
        probability, target = probability * share[:, None], target * share[:, None]
    overlap = (probability * target).sum(dim=2)
    size = probability.sum(dim=2) + target.sum(dim=2)
    present = target.any(dim=2)
    dice = (2 * overlap / size.clamp_min(1e-5) * present).sum(dim=1) / present.sum(dim=1).clamp_min(1)
    loss = entropy + 1 - dice
    return loss if share is None else loss * share.amax(dim=1)


def voxel_label(batch: Batch) -> Tensor:
    """The label `[B, *S]` of a batch. UserError where the data set has none."""
    if batch.label is None or batch.label.ndim != batch.image.ndim - 1:
        raise UserError(
            f"data set {batch.dataset!r} has no label per voxel ({batch.files[0]}); segmentation needs one"
        )
    return batch.label

"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.options.rules import Range, check
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks.mixing import Mixing, mix
from ucf_vit.tasks.sums import nan_if_not_finite, sum_and_count
from ucf_vit.tasks.task import Direction, Loss, Panel, Task
from ucf_vit.tasks.tile_prediction import tiles_of


class Classification(Task):
    """Classification: cross-entropy of logits `[B, K]` and class numbers `[B]`; top-1 and top-5 accuracy.

    Weights, smoothing and mixing change the loss of the training only, not that of held-out samples.

    Args:
        model: network with an output per class.
        label_smoothing: part of a target that is shared by all classes (Szegedy et al. 2016).
        class_weights: weight of each class in the order of the class numbers, or "balanced": n / (k n_c) for
            class c with n_c of the n training items of k classes. The weighted losses are averaged over
            samples, not divided by their weights, so that the loss does not depend on how batches are split.
        mixup, cutmix: parameters of the mixing of samples, see `tasks.mixing.Mixing`; 0: none.

    Raises UserError for weights or parameters out of range.
    """

    facts = BUILT_IN["classification"]
    metric_names: tuple[str, ...] = ("loss", "top1", "top5")
    metric_titles: Mapping[str, str] = MappingProxyType(
        {"loss": "Loss", "top": "Accuracy", "top1": "Top-1 accuracy", "top5": "Top-5 accuracy"}
    )
    best: tuple[str, Direction] = ("top1", "max")

    def __init__(
        self,
        model: nn.Module,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | Literal["balanced"] | None = None,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        patcher: AdaptivePatcher | None = None,
        tile_size: Sequence[int] = (),
        overlap: float = 0.5,
    ) -> None:
        super().__init__(model, patcher, tile_size=tile_size, overlap=overlap)
        check("label_smoothing", label_smoothing, Range(Real, {"ge": 0, "lt": 1}))
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.mixing = Mixing(mixup, cutmix)
        self._weights = _checked(class_weights)

    def count_classes(self, counts: Sequence[int]) -> None:
        """Sets balanced weights from the number of training items of each class."""
        if self.class_weights == "balanced":
            present = sum(count > 0 for count in counts)
            self._weights = torch.tensor([sum(counts) / (present * max(count, 1)) for count in counts])

    def draw(self, batch: Batch) -> Batch:
        """Adds the random tensors of mixup and cutmix, if they are on."""
        return self.mixing.draw(batch) if self.mixing else batch

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean weighted cross-entropy and, unless samples are mixed, the batch's accuracy."""
        label = class_label(batch)
        if self.mixing:
            batch, share = mix(batch)
        logits = self.predict(batch.image, self.patches_of(batch), batch.variables).float()
        losses = self._losses(logits, label)
        if self.mixing:
            return Loss(torch.lerp(self._losses(logits, label.roll(1)), losses, share).mean())
        correct = (logits.argmax(dim=1) == label).float()
        return Loss(losses.mean(), {"top1": nan_if_not_finite(correct, logits).mean().detach()})

    def _losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """Returns the weighted, smoothed cross-entropy of each sample, `[B]`."""
        if self._weights is not None:
            self._weights = _fitting(self._weights, logits)
        smoothing = self.label_smoothing
        return F.cross_entropy(logits, label, self._weights, reduction="none", label_smoothing=smoothing)

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the totals of cross-entropy, top-1 and top-5 accuracy."""
        logits = self._logits(batch)
        label = class_label(batch)
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == label[:, None]
        correct = nan_if_not_finite(ranked.float(), logits)
        self.report(batch, logits.softmax(dim=1), label)
        return {
            "loss": sum_and_count(F.cross_entropy(logits, label, reduction="none")),
            "top1": sum_and_count(correct[:, 0]),
            "top5": sum_and_count(correct.sum(dim=1)),
        }

    def predict_whole(self, image: Tensor, variables: Sequence[str] | None = None) -> Tensor:
        """Returns logits `[B, K]` of images `[B, C, *S]` of any size: the mean over tiles that cover them."""
        tiles = tiles_of(image, self.tile_size or image.shape[2:], self.overlap)
        logits = [self.tile_output(tile, variables).float() for tile in tiles]
        return torch.stack(logits).mean(dim=0)

    def pictures(self, batch: Batch) -> list[Panel]:
        """Returns the first image with its class and the predicted one."""
        logits = self._logits(batch)
        probability = logits.softmax(dim=1)[0]
        best = int(torch.argmax(probability))
        label, predicted = (self._name(number) for number in (int(class_label(batch)[0]), best))
        title = f"class {label}, predicted {predicted} ({float(probability[best]):.0%})"
        return [Panel(title, batch.image[0].float().mean(dim=0).cpu().numpy())]

    def _logits(self, batch: Batch) -> Tensor:
        """Returns logits `[B, K]` of the tiles of a batch; the mean of an ensemble."""
        if self.ensemble is not None:
            return self.ensemble(batch.image, batch.variables)
        return self.predict(batch.image, self.patches_of(batch), batch.variables).float()

    def _name(self, number: int) -> str:
        return self.class_names[number] if number < len(self.class_names) else str(number)


def _checked(weights: Sequence[float] | str | None) -> Tensor | None:
    """Returns given weights as a tensor. Raises UserError unless they are numbers >= 0, and not all 0."""
    if weights is None or weights == "balanced":
        return None
    if isinstance(weights, str) or not isinstance(weights, Sequence) or not any(weights):
        raise UserError(f"class_weights {weights!r}: expected 'balanced' or a number >= 0 for each class")
    for place, weight in enumerate(weights):
        check(f"class_weights[{place}]", weight, Range(Real, {"ge": 0}))
    return torch.tensor(weights, dtype=torch.float32)


def _fitting(weights: Tensor, logits: Tensor) -> Tensor:
    """Returns the weights on the device of the logits. Raises UserError unless there is one per class."""
    if len(weights) != logits.shape[1]:
        raise UserError(
            f"class_weights has {len(weights)} numbers; the network has {logits.shape[1]} classes"
        )
    return weights.to(logits.device)


def class_label(batch: Batch) -> Tensor:
    """Returns the class numbers `[B]` of a batch. Raises UserError if the data set has none."""
    if batch.label is None or batch.label.ndim != 1:
        raise UserError(
            f"data set {batch.dataset!r} has no class per image; use a source with classes (imagenet)"
        )
    return batch.label

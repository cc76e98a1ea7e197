"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks.sums import nan_if_not_finite, sum_and_count
from ucf_vit.tasks.task import Direction, Loss, Panel, Task
from ucf_vit.tasks.tile_prediction import tiles_of


class Classification(Task):
    """Classification: cross-entropy of logits `[B, K]` and class numbers `[B]`; top-1 and top-5 accuracy."""

    facts = BUILT_IN["classification"]
    metric_names: tuple[str, ...] = ("loss", "top1", "top5")
    best: tuple[str, Direction] = ("top1", "max")

    def __init__(
        self,
        model: nn.Module,
        label_smoothing: float = 0.0,
        patcher: AdaptivePatcher | None = None,
        tile_size: Sequence[int] = (),
        overlap: float = 0.5,
    ) -> None:
        super().__init__(model, patcher, tile_size=tile_size, overlap=overlap)
        self.label_smoothing = label_smoothing

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean cross-entropy, and the accuracy of this batch as a metric."""
        logits = self.predict(batch.image, self.patches_of(batch), batch.variables).float()
        label = class_label(batch)
        loss = F.cross_entropy(logits, label, label_smoothing=self.label_smoothing)
        correct = (logits.argmax(dim=1) == label).float()
        return Loss(loss, {"top1": nan_if_not_finite(correct, logits).mean().detach()})

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


def class_label(batch: Batch) -> Tensor:
    """Returns the class numbers `[B]` of a batch. Raises UserError if the data set has none."""
    if batch.label is None or batch.label.ndim != 1:
        raise UserError(
            f"data set {batch.dataset!r} has no class per image; use a source with classes (imagenet)"
        )
    return batch.label

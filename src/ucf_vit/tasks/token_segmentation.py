"""Segmentation of adaptive patches in token space (SAP): a map of classes for each token."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.patching.tree.cut import cut_labels
from ucf_vit.patching.tree.paste import paste
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks.segmentation import Segmentation, segmentation_loss, voxel_label
from ucf_vit.tasks.task import Loss, adaptive_patches


class TokenSegmentation(Segmentation):
    """Segmentation in token space: loss on class maps of tokens, Dice at full resolution.

    The loss compares class maps with labels cut along the same leaves. Tokens have equal weights whatever the
    size of their leaves, so detail weighs more than its area. For evaluation the maps are pasted back into
    an image and compared with the original labels. Raises UserError without a patcher.
    """

    facts = BUILT_IN["token_segmentation"]
    patcher: AdaptivePatcher

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
        if patcher is None:
            raise UserError(
                "task token_segmentation works on adaptive tokens: set adaptive.adaptive_patching=true"
            )
        super().__init__(model, num_classes, tile_size, overlap, windows, patcher, ignores)

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean over samples of cross-entropy + soft Dice loss, over the pixels of all tokens."""
        patches = adaptive_patches(self.patcher, batch, self.training)
        logits = self.output_of(patches, variables=batch.variables).float().movedim(2, 1)
        label = cut_labels(voxel_label(batch), patches.leaves, logits.shape[3:], self.num_classes)
        counts, valid = self.counted(label), patches.valid
        if valid is not None:
            whole = valid.view(*valid.shape, *[1] * (label.ndim - 2)).expand_as(label)
            counts = whole if counts is None else whole & counts
        return Loss(segmentation_loss(logits, label, counts).mean())

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Returns logits `[B, K, *S]` of tiles `[B, C, *S]` from tokens; the mean of several trees."""
        patches = self.patcher(image) if patches is None else patches
        pasted = paste(self.output_of(patches, variables=variables).float(), patches.leaves)
        return pasted.unflatten(1, (patches.leaves.trees, -1)).mean(dim=1)

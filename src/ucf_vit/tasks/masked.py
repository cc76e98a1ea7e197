"""Masked autoencoding: reconstruction of masked patches (He et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ucf_vit.core.seeds import rand_per_sample
from ucf_vit.data.batch import Batch
from ucf_vit.models.mae import MAE
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks.sums import sum_and_count
from ucf_vit.tasks.task import Loss, Panel, Task


class MaskedAutoencoding(Task):
    """Masked autoencoding: mean squared error of reconstructed patches.

    `loss_fn` is `maskMSE` (masked patches only, as published) or `MSE` (all patches). With `norm_pix_loss`
    each target patch is normalized by its own mean and variance. A model with `use_varemb` predicts only the
    variables of the batch.
    """

    facts = BUILT_IN["masked"]
    model: MAE

    def __init__(
        self,
        model: MAE,
        loss_fn: Literal["MSE", "maskMSE"] = "maskMSE",
        norm_pix_loss: bool = False,
        patcher: AdaptivePatcher | None = None,
        tile_size: Sequence[int] = (),
        overlap: float = 0.5,
    ) -> None:
        super().__init__(model, patcher, tile_size=tile_size, overlap=overlap)
        self.loss_fn = loss_fn
        self.norm_pix_loss = norm_pix_loss

    def draw(self, batch: Batch) -> Batch:
        """Adds `noise` `[B, L]`: the patches with the largest noise are masked."""
        tokens = self.model.count_tokens(batch.image.shape[1])
        return batch.with_drawn(noise=rand_per_sample(batch.keys, (tokens,), "mask"))

    def forward(self, batch: Batch) -> Loss:
        """Returns the mean over samples of the mean squared error per patch; 0 without patches that count."""
        patches = self.patches_of(batch)
        return Loss(self._errors(*self._reconstruct(batch, patches), patches)[0].mean())

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the totals of the loss on held-out tiles; each has the same mask in every run.

        Samples without patches to reconstruct do not count.
        """
        batch = self.draw(batch).to(batch.image.device)
        patches = self.patches_of(batch)
        prediction, mask, target = self._reconstruct(batch, patches)
        error, is_counted = self._errors(prediction, mask, target, patches)
        if self.on_predicted is not None:
            filled = self._fill_in(prediction, mask, target).float()
            self.report(batch, self.model.image(filled, patches), batch.image)
        return {"loss": sum_and_count(error, is_counted)}

    def pictures(self, batch: Batch) -> list[Panel]:
        """Returns input, masked input and reconstruction of the first channel.

        With adaptive patches also the image that the tokens represent, in which large leaves are averaged.
        """
        batch = self.draw(batch).to(batch.image.device)
        patches = self.patches_of(batch)
        prediction, mask, target = self._reconstruct(batch, patches)
        hidden = mask[..., None].to(target.dtype)
        shown = {} if patches is None else {"held by tokens": target}
        shown |= {
            "masked input": target * (1 - hidden) + target.min() * hidden,
            "reconstruction": self._fill_in(prediction, mask, target),
        }
        images = {title: self.model.image(tokens.float(), patches) for title, tokens in shown.items()}
        return [
            Panel(title, image[0, 0].float().cpu().numpy())
            for title, image in {"input": batch.image, **images}.items()
        ]

    def predict(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Returns tiles `[B, C, *S]` with reconstructed masked patches; every tile has the same mask."""
        keys = torch.zeros(len(image), dtype=torch.int64)
        noise = rand_per_sample(keys, (self.model.count_tokens(image.shape[1]),), "mask").to(image.device)
        seen = image if patches is None else patches
        prediction, mask = self.model(seen, noise, variables)
        tokens = self._fill_in(prediction, mask, self.model.patches(seen, variables))
        return self.model.image(tokens.float(), patches)

    def _fill_in(self, prediction: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Returns patches `[B, L, patch_dim]`: predictions of masked patches, the others unchanged."""
        if self.norm_pix_loss:
            mean, std = _patch_statistics(target)
            prediction = prediction * std + mean
        hidden = mask[..., None].to(target.dtype)
        return target * (1 - hidden) + prediction * hidden

    def _errors(
        self, prediction: Tensor, mask: Tensor, target: Tensor, patches: Patches | None
    ) -> tuple[Tensor, Tensor]:
        """Returns the loss `[B]`, and which samples `[B]` have patches that count; others have loss 0."""
        if self.norm_pix_loss:
            mean, std = _patch_statistics(target)
            target = (target - mean) / std
        error = (prediction.float() - target.float()).square().mean(dim=-1)
        valid = None if patches is None else patches.valid
        if self.loss_fn == "maskMSE":
            counts = mask
        else:
            counts = torch.ones_like(mask) if valid is None else valid.to(mask.dtype)
        count = counts.sum(dim=1)
        return (error * counts).sum(dim=1) / count.clamp_min(1), count > 0

    def _reconstruct(self, batch: Batch, patches: Patches | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns prediction `[B, L, patch_dim]`, mask `[B, L]` (1: masked) and target like prediction."""
        image = batch.image if patches is None else patches
        prediction, mask = self.model(image, batch.drawn["noise"], batch.variables)
        return prediction, mask, self.model.patches(image, batch.variables)


def _patch_statistics(target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation `[B, L, 1]` of each patch, for the normalized targets of MAE."""
    variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
    return mean, (variance + 1e-6).sqrt()

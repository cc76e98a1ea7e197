"""Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019): each sample is mixed with another of its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.special import betaincinv
from torch import Tensor

from ucf_vit.core.seeds import rand_per_sample
from ucf_vit.data.batch import Batch
from ucf_vit.options.rules import check_values, number


@dataclass(frozen=True)
class Mixing:
    """Mixing of a batch with itself, moved by one sample.

    How much is kept of a sample depends on its key only. Its partner is its neighbour in the batch of this
    process, so other numbers of data ranks mix other pairs.

    Args:
        mixup: both parameters of the beta distribution of the kept part of values; 0: no mixup.
        cutmix: the same for the kept part of the area or volume, the rest is a box of the partner; 0: none.
            With both, each is drawn for half of the samples.

    Raises UserError for a negative parameter.
    """

    mixup: float = number(0.0, ge=0)
    cutmix: float = number(0.0, ge=0)

    def __post_init__(self) -> None:
        check_values(self)

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def draw(self, batch: Batch) -> Batch:
        """Adds `share` `[B]`, the part of values kept outside of the partner's box, and `box` `[B, D, 2]`.

        The box is given by its start and end along each axis, as fractions; it is empty for mixup.
        """
        axes = batch.image.ndim - 2
        uniform = rand_per_sample(batch.keys, (2 + axes,), "mix").double()
        cuts = uniform[:, 0] < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        alpha = torch.where(cuts, self.cutmix, self.mixup).numpy()
        kept = torch.from_numpy(
            betaincinv(alpha, alpha, uniform[:, 1].numpy())
        )  # the beta distribution's inverse
        side = torch.where(cuts, (1 - kept) ** (1 / axes), 0.0)[:, None] / 2
        box = torch.stack([uniform[:, 2:] - side, uniform[:, 2:] + side], dim=-1)
        return batch.with_drawn(share=torch.where(cuts, 1.0, kept).float(), box=box.float())


def mix(batch: Batch) -> tuple[Batch, Tensor]:
    """Returns a batch from `Mixing.draw` with mixed images, and the share `[B]` that each sample kept.

    The rest of sample i is of sample i - 1. Trees of adaptive patches are those of the mixed images, so
    leaves from the loader are left out.
    """
    image = batch.image
    kept = _kept(batch.drawn["share"], batch.drawn["box"], image.shape[2:])
    mixed = torch.lerp(image.roll(1, dims=0), image, kept.to(image.dtype))
    return replace(batch, image=mixed, leaves=None), kept.flatten(1).mean(dim=1)


def _kept(share: Tensor, box: Tensor, sides: Sequence[int]) -> Tensor:
    """Returns `[B, 1, *S]`: the part of each pixel that is kept, `share` outside the box and 0 in it."""
    inside = torch.ones(len(share), 1, *[1] * len(sides), dtype=torch.bool, device=share.device)
    for axis, side in enumerate(sides):
        centre = (torch.arange(side, device=share.device) + 0.5) / side
        within = (centre >= box[:, axis, :1]) & (centre < box[:, axis, 1:])
        shape = [1] * len(sides)
        shape[axis] = side
        inside = inside & within.view(-1, 1, *shape)
    return share.view(-1, 1, *[1] * len(sides)) * ~inside

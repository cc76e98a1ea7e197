"""Features of images and volumes from random convolutions, without training or download."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ucf_vit.core.seeds import generator

FEATURES = 64
"""Largest number of features; a few hundred tiles determine their covariance."""
_MOST_SCALES = 4
_SEED = 0
_BATCH_VALUES = 2**22


class RandomFeatures(nn.Module):
    """Features `[B, F]` of images `[B, C, *S]`, F up to 64: spatial means and deviations at several scales.

    A scale is a convolution with fixed normal weights (He et al. 2015) and a ReLU; the next one gets the
    output averaged over 2 x 2 (x 2) pixels. Such statistics describe texture (Ustyuzhaninov et al. 2017) and
    depend on no data set. Channels are normalized to mean 0 and deviation 1 over the `reference` images
    `[N, C, *S]`, and features to deviation 1, so that units do not matter and all features have equal weight.
    """

    def __init__(self, reference: Tensor) -> None:
        super().__init__()
        channels, *space = reference.shape[1:]
        self.dims = len(space)
        scales = max(1, min(_MOST_SCALES, int(math.log2(min(space))) - 1))
        width = FEATURES // (2 * scales)
        random = generator("random features", _SEED, self.dims, channels)
        self.weights = [
            torch.randn(width, inputs, *[3] * self.dims, generator=random)
            * math.sqrt(2 / (inputs * 3**self.dims))
            for inputs in [channels] + [width] * (scales - 1)
        ]
        std, mean = torch.std_mean(reference.transpose(0, 1).flatten(1).double(), dim=1, correction=0)
        shape = (1, -1, *[1] * self.dims)
        self.mean, self.std = mean.float().reshape(shape), _units(std, mean).float().reshape(shape)
        self.scale = torch.ones(1, dtype=torch.float64)
        features = self.of(reference, torch.device("cpu"))
        self.scale = _units(features.std(0, correction=0), features.mean(0))

    def forward(self, image: Tensor) -> Tensor:
        """Returns the features of a batch before scaling."""
        convolve, pool = (F.conv2d, F.avg_pool2d) if self.dims == 2 else (F.conv3d, F.avg_pool3d)
        x = (image.float() - self.mean.to(image.device)) / self.std.to(image.device)
        features: list[Tensor] = []
        for number, weight in enumerate(self.weights):
            x = x if number == 0 else pool(x, 2)
            x = F.relu(convolve(F.pad(x, [1] * 2 * self.dims, mode="replicate"), weight.to(image.device)))
            spread, mean = torch.var_mean(x.flatten(2), dim=2, correction=0)
            features += [mean, spread.sqrt()]
        return torch.cat(features, dim=1)

    @torch.no_grad()
    def of(self, images: Tensor, device: torch.device) -> Tensor:
        """Returns features `[N, F]` float64 on the CPU of any number of images, computed in batches."""
        size = max(1, _BATCH_VALUES // images[0].numel())
        features = [self(part.to(device)).double().cpu() for part in images.split(size)]
        return torch.cat(features) / self.scale


def _units(deviation: Tensor, mean: Tensor) -> Tensor:
    """Returns the deviations as divisors, with 1 for those that are only rounding errors."""
    return torch.where(deviation > 1e-6 * mean.abs(), deviation, torch.ones_like(deviation))

"""Dropout and stochastic depth where ranks hold different tokens or hidden units of the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from ucf_vit.core.seeds import seed_of, seed_torch
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.parallel.encoder.region import Region


class SplitDropPath(DropPath):
    """Stochastic depth that drops the same samples on all tensor ranks."""

    region: Region

    def forward(self, x: Tensor) -> Tensor:
        """Maps split tokens to split tokens; the generators of the ranks agree."""
        if not self.training or self.rate == 0:
            return x
        mask = torch.empty(len(x), 1, 1, dtype=x.dtype, device=x.device).bernoulli_(1 - self.rate)
        return (
            x * DTensor.from_local(mask, self.region.mesh, [Replicate()], run_check=False) / (1 - self.rate)
        )


class SplitDropout(nn.Dropout):
    """Dropout of a rank's hidden units or tokens, with different random numbers on each rank."""

    region: Region

    def forward(self, x: Tensor) -> Tensor:
        """Maps plain tensors to plain tensors and split tokens to split tokens."""
        if not self.training or self.p == 0:
            return x
        if not isinstance(x, DTensor):
            with rank_randomness(self.region, x.device):
                return super().forward(x)
        if x.placements[0].is_replicate():
            part = super().forward(x.to_local())
        else:
            with rank_randomness(self.region, x.device):
                part = self._drop(x.to_local())
        return DTensor.from_local(
            part, x.device_mesh, x.placements, run_check=False, shape=x.shape, stride=x.stride()
        )

    def _drop(self, part: Tensor) -> Tensor:
        """Applies dropout and saves a tensor for the backward pass even if this rank has no token.

        Activation checkpointing stops recomputing once it has all saved tensors. A rank that saves fewer than
        the others would stop before a collective that they still take part in.
        """
        return super().forward(part) if part.numel() else part * torch.ones_like(part)


@contextmanager
def rank_randomness(region: Region, device: torch.device) -> Iterator[None]:
    """Context in which the global generators differ between ranks that work on the same samples.

    The generators agree before and after it.
    """
    seed = seed_of(int(torch.randint(2**62, ())), *region.coordinates)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_torch(device, seed)
        yield

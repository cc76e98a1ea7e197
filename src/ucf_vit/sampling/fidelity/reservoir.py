"""Uniform sample of a stream of tiles, in limited memory."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor


class Reservoir:
    """Uniform random sample of up to `most` tiles: those with the smallest keys, whatever their order."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = 0
        self._heap: list[tuple[int, int, Tensor]] = []

    def add(self, images: Tensor, keys: Tensor) -> None:
        """Adds tiles `[B, C, *S]` with their random keys `[B]` int64."""
        for image, key in zip(images, keys.tolist(), strict=True):
            self.seen += 1
            if len(self._heap) < self.most:
                heapq.heappush(self._heap, (-key, -self.seen, image.clone()))
            elif -key > self._heap[0][0]:
                heapq.heapreplace(self._heap, (-key, -self.seen, image.clone()))

    @property
    def images(self) -> Tensor:
        """Sampled tiles `[N, C, *S]`, ordered by key. Raises ValueError if there are none."""
        return torch.stack([image for *_, image in sorted(self._heap, key=lambda one: one[:2], reverse=True)])

    @property
    def keys(self) -> Tensor:
        """Keys of the sampled tiles, `[N]` int64, ascending."""
        return torch.tensor(sorted(-key for key, *_ in self._heap), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._heap)

"""A fair share of a stream of tiles, in bounded memory."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor


class Kept:
    """Those `most` of all tiles seen that have the smallest random keys: a uniform choice, in any order."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen = 0
        self._heap: list[tuple[int, int, Tensor]] = []

    def add(self, images: Tensor, keys: Tensor) -> None:
        """Tiles `[B, C, *S]` with their keys `[B]` int64."""
        for image, key in zip(images, keys.tolist(), strict=True):
            self.seen += 1
            if len(self._heap) < self.most:
                heapq.heappush(self._heap, (-key, -self.seen, image.clone()))
            elif -key > self._heap[0][0]:
                heapq.heapreplace(self._heap, (-key, -self.seen, image.clone()))

    @property
    def images(self) -> Tensor:
        """`[N, C, *S]`, by key. ValueError without any."""
        return torch.stack([image for *_, image in sorted(self._heap, key=lambda one: one[:2], reverse=True)])

    @property
    def keys(self) -> Tensor:
        """`[N]` int64, ascending."""
        return torch.tensor(sorted(-key for key, *_ in self._heap), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._heap)

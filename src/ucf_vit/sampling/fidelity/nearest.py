"""The nearest of many tiles, found while they pass by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDING = 1e-5
"""Relative error that a product of matrices in float32 may have."""


class Nearest:
    """For each of `queries` `[Q, C, *S]` the tile with the smallest root mean square difference.

    `distance` `[Q]`, `tile` like `queries` and `file` `[Q]` are those of the nearest so far; tiles are seen
    once and in batches, so memory is some times that of the queries and a batch.
    """

    def __init__(self, queries: Tensor, device: torch.device) -> None:
        self.device = device
        self.shape = queries.shape[1:]
        self._middle = queries.mean().to(device)
        self._queries = queries.flatten(1).to(device) - self._middle
        self._squares = self._queries.square().sum(1, keepdim=True)
        self._tiles = torch.zeros_like(self._queries)
        self.distance = torch.full((len(queries),), torch.inf)
        self.file = [""] * len(queries)

    @property
    def tile(self) -> Tensor:
        """The nearest tiles, on the CPU."""
        return (self._tiles + self._middle).unflatten(1, self.shape).cpu()

    def add(self, tiles: Tensor, files: Sequence[str]) -> None:
        """Tiles `[B, C, *S]` and their files.

        A product of matrices finds the candidates; of one that may be nearer than the nearest so far, the
        values themselves tell the distance.
        """
        if not len(tiles):
            return
        tiles = tiles.flatten(1).to(self.device) - self._middle
        squares = self._squares + tiles.square().sum(1)
        found, tile_of = (squares - 2 * self._queries @ tiles.T).min(1)
        known = self.distance.square().to(self.device) * tiles.shape[1]
        candidates = (found <= known + _ROUNDING * squares.amax(1)).nonzero().flatten().tolist()
        for query in candidates:
            tile = int(tile_of[query])
            distance = (self._queries[query] - tiles[tile]).square().mean().sqrt().cpu()
            if distance < self.distance[query]:
                self.distance[query] = distance
                self._tiles[query] = tiles[tile]
                self.file[query] = files[tile]

"""Search for nearest tiles, in one pass over many tiles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDING = 1e-5
"""Bound of the relative error of a matrix product in float32."""


class Nearest:
    """Search for the tile with the smallest root mean square difference to each of `queries` `[Q, C, *S]`.

    `distance` `[Q]`, `tile` (like `queries`) and `file` `[Q]` are those of the nearest tiles so far. Others
    are not stored, so memory is a few times that of the queries and a batch.
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
        """Nearest tiles, on the CPU."""
        return (self._tiles + self._middle).unflatten(1, self.shape).cpu()

    def add(self, tiles: Tensor, files: Sequence[str]) -> None:
        """Adds tiles `[B, C, *S]` and their files.

        Squared differences are `|q|^2 + |t|^2 - 2 q.t`, with a matrix product for all pairs. Because of its
        rounding errors, the difference is computed again from the values for candidates, tiles that may be
        nearer than the nearest so far.
        """
        if not len(tiles):
            return
        tiles = tiles.flatten(1).to(self.device) - self._middle
        squares = self._squares + tiles.square().sum(1)
        closest, tile_of = (squares - 2 * self._queries @ tiles.T).min(1)
        known = self.distance.square().to(self.device) * tiles.shape[1]
        candidates = (closest <= known + _ROUNDING * squares.amax(1)).nonzero().flatten().tolist()
        for query in candidates:
            tile = int(tile_of[query])
            distance = (self._queries[query] - tiles[tile]).square().mean().sqrt().cpu()
            if distance < self.distance[query]:
                self.distance[query] = distance
                self._tiles[query] = tiles[tile]
                self.file[query] = files[tile]

"""Random orders of tiles, and random keys of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.seeds import seed_of
from ucf_vit.data.order.epoch_order import Group


def shuffled_tiles(group: Group, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the group's tile numbers in the order of `epoch`, see `shuffle`."""
    rng = np.random.Generator(np.random.PCG64(seed_of(seed, "order", group.name, epoch)))
    return shuffle(group.counts, group.buffer, rng)


def shuffle(counts: NDArray[np.int64], buffer: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns a random order `[sum(counts)]` of tiles, of which each file has `counts` `[N]`.

    Files are permuted, tiles are permuted within their file, then each tile's position moves back by a
    uniform random number below `buffer`: the effect of a shuffle buffer of that size, without the buffer.
    """
    size = int(counts.sum())
    ranks = np.empty(len(counts))
    ranks[rng.permutation(len(counts))] = np.arange(len(counts))
    tiles = np.argsort(np.repeat(ranks, counts) + rng.random(size), kind="stable")
    if buffer < 2:
        return tiles
    return tiles[np.argsort(np.arange(size) + rng.random(size) * buffer, kind="stable")]


def sample_keys(seed: int, name: str, epoch: int, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns one non-negative random key per tile, a function of (seed, group, epoch, tile).

    This is the output of the splitmix64 generator (Steele et al. 2014) at the tile's number.
    """
    with np.errstate(over="ignore"):
        z = tiles.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            seed_of(seed, "key", name, epoch)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)

"""Arithmetic of chunks and shards."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ucf_vit.core.errors import UserError

SIDES = {2: 256, 3: 64}
"""Default sides of a chunk: 256 KiB and 1 MiB of float32."""
MOST_VALUES = 2**18
"""Largest chunk that is made for a tile: a reader that needs a corner of a chunk reads all of it."""
CHANNELS_TOGETHER = 4
"""Up to this many channels share a chunk; with more, each has chunks of its own."""
VALUE_BYTES = 4
"""Assumed size of a value when shards are filled; the real type is known only after reading."""


def chunk_sides(dims: int, tile: Sequence[int] | None = None) -> tuple[int, ...]:
    """Returns the sides of a chunk: those of the tile, halved until small enough, else the default.

    A tile then consists of whole chunks. A tile `[H, W]` of volumes gives chunks one voxel thick.
    """
    if tile is None:
        return (SIDES[dims],) * dims
    sides = (*tile, *(1,) * (dims - len(tile)))
    while prod(sides) > MOST_VALUES and all(side % 2 == 0 for side in sides if side > 1):
        sides = tuple(max(side // 2, 1) for side in sides)
    return sides if prod(sides) <= MOST_VALUES else tuple(min(side, SIDES[dims]) for side in sides)


def check_sides(sides: Sequence[int], dims: int) -> tuple[int, ...]:
    """Returns the same sides. Raises UserError where they are not `dims` positive numbers."""
    if len(sides) != dims or min(sides) < 1:
        shown = "x".join(map(str, sides))
        raise UserError(
            f"--chunk {shown}: expected {dims} sides, such as {'x'.join([str(SIDES[dims])] * dims)}"
        )
    return tuple(sides)


def chunk_of(channels: int, space: Sequence[int], sides: Sequence[int]) -> tuple[int, ...]:
    """Returns the chunk `(c, *s)` of an item `(channels, *space)`."""
    together = channels if channels <= CHANNELS_TOGETHER else 1
    return (together, *(min(side, size) for side, size in zip(sides, space, strict=True)))


def rows_and_depth(
    channels: int, space: Sequence[int], chunk: Sequence[int], shard_bytes: int
) -> tuple[int, int]:
    """Returns how many items go into a shard, and its extent along their first axis.

    Small items share a shard; an item larger than a shard is cut along its first axis, between chunks.
    """
    plane = channels * prod(space[1:]) * VALUE_BYTES
    depth = -(-space[0] // chunk[1]) * chunk[1]
    if plane * space[0] <= shard_bytes:
        return max(1, shard_bytes // (plane * space[0])), depth
    return 1, min(depth, max(1, shard_bytes // (plane * chunk[1])) * chunk[1])

"""Reads boxes of a sharded Zarr v3 array; only the chunks of the box are touched.

The layout is that of Zarr's `sharding_indexed` codec: compressed chunks in any order, then the offset and
size of each chunk, in C order, as two 64-bit integers, then a CRC-32C of these. zarr-python reads the same
files; this code is a few times faster for a tile, and a missing chunk or file is an error instead of a block
of zeros.
"""

from __future__ import annotations

import importlib.util
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.data.formats.prepared.manifest import Pack
from ucf_vit.data.formats.unpacked_size import zstd_size
from ucf_vit.data.reading import reading

_NOWHERE = 2**64 - 1
INDICES = 256
"""Number of shard indices that a process keeps."""


class Ranges(Protocol):
    """Function that reads byte ranges of files."""

    def __call__(self, path: str, size: int, parts: Sequence[tuple[int, int]], /) -> Sequence[bytes]:
        """Returns bytes `start` to `stop` of each part of a file of `size` bytes. Raises DataError or
        OSError.
        """


@dataclass(frozen=True)
class ShardedArray:
    """One array of a pack: `paths` and `sizes` of its shards, which follow each other along `axis`."""

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    axis: int
    depth: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pack: Pack, part: str, folder: str) -> ShardedArray:
        """Returns the array `part` ("image", "label") of a pack in `folder`."""
        image, shards = part == "image", pack.shards(part)
        ahead = (pack.channels,) if image else ()
        return cls(
            paths=tuple(f"{folder}/{shard}" for shard in shards),
            sizes=tuple(pack.files[shard][0] for shard in shards),
            shape=(len(pack.items), *ahead, *pack.shape[1:]),
            chunk=(1, *(pack.chunk if image else pack.chunk[1:])),
            axis=2 if image else 1,
            depth=pack.depth,
            dtype=np.dtype(pack.dtype if image else pack.label_dtype),
        )

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks of a shard along each axis."""
        sizes = (*self.shape[: self.axis], self.depth, *self.shape[self.axis + 1 :])
        return tuple(-(-size // side) for size, side in zip(sizes, self.chunk, strict=True))


class ShardReader:
    """Reads boxes through `ranges`; keeps the indices of recently used shards."""

    def __init__(self, ranges: Ranges) -> None:
        if not importlib.util.find_spec("numcodecs"):
            raise UserError("prepared data needs zarr; install it with: pip install 'ucf-vit[zarr]'")
        from numcodecs.zstd import Zstd

        self._ranges = ranges
        self._decode = Zstd().decode
        self._indices: OrderedDict[str, NDArray[np.uint64]] = OrderedDict()

    def read(self, array: ShardedArray, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Returns the box from `start` to `stop`. Raises DataError with the shard's file."""
        cells = [
            range(first // side, -(-last // side))
            for first, last, side in zip(start, stop, array.chunk, strict=True)
        ]
        shards = array.depth // array.chunk[array.axis]
        chunks: dict[tuple[int, ...], NDArray[Any]] = {}
        for number in sorted({place // shards for place in cells[array.axis]}):
            here = [place for place in product(*cells) if place[array.axis] // shards == number]
            chunks.update(zip(here, self._chunks(array, number, here), strict=True))
        if len(chunks) == 1:
            ((place, chunk),) = chunks.items()
            return chunk[_overlap(place, array.chunk, start, stop)[0]]
        box = np.empty([last - first for first, last in zip(start, stop, strict=True)], array.dtype)
        for place, chunk in chunks.items():
            within, into = _overlap(place, array.chunk, start, stop)
            box[into] = chunk[within]
        return box

    def _chunks(
        self, array: ShardedArray, shard: int, places: Sequence[tuple[int, ...]]
    ) -> list[NDArray[Any]]:
        path, size, grid = array.paths[shard], array.sizes[shard], array.grid
        with reading(path, "damaged or gone"):
            index = self._index(path, size, prod(grid))
            inside = [
                (*p[: array.axis], p[array.axis] - shard * grid[array.axis], *p[array.axis + 1 :])
                for p in places
            ]
            rows = index[np.ravel_multi_index(tuple(np.transpose(inside)), grid)]
            if (rows == _NOWHERE).any():
                raise ValueError("a chunk is missing")
            parts = [(first, first + count) for first, count in rows.tolist()]
            return [self._array(part, array) for part in self._ranges(path, size, parts)]

    def _array(self, part: bytes, array: ShardedArray) -> NDArray[Any]:
        size, expected = zstd_size(part), prod(array.chunk) * array.dtype.itemsize
        if size != expected:
            raise ValueError(f"a chunk unpacks to {size:,} bytes, expected {expected:,}")
        return np.frombuffer(self._decode(part), array.dtype).reshape(array.chunk)

    def _index(self, path: str, size: int, chunks: int) -> NDArray[np.uint64]:
        """Returns offset and size of each chunk, `[chunks, 2]`."""
        if path in self._indices:
            self._indices.move_to_end(path)
            return self._indices[path]
        from google_crc32c import value as crc32c

        (content,) = self._ranges(path, size, [(size - 16 * chunks - 4, size)])
        if crc32c(content[:-4]) != struct.unpack("<I", content[-4:])[0]:
            raise ValueError("the index of its chunks is damaged")
        index = np.frombuffer(content[:-4], "<u8").reshape(chunks, 2)
        self._indices[path] = index
        if len(self._indices) > INDICES:
            self._indices.popitem(last=False)
        return index


def _overlap(
    place: Sequence[int], chunk: Sequence[int], start: Sequence[int], stop: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Returns the intersection of a chunk and a box, as slices of the chunk and of the box."""
    within, into = [], []
    for cell, side, first, last in zip(place, chunk, start, stop, strict=True):
        low, high = max(first, cell * side), min(last, cell * side + side)
        within.append(slice(low - cell * side, high - cell * side))
        into.append(slice(low - first, high - first))
    return tuple(within), tuple(into)

"""Tensors in pieces over several safetensors files, written and read by any number of ranks.

The format is that of `torch.distributed.checkpoint`'s safetensors storage, which can read the files too: the
header has the offsets of each piece in its tensor. A file without these has full tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from typing_extensions import TypedDict

from ucf_vit.core.errors import CheckpointError, brief
from ucf_vit.core.files.atomic_files import usual_mode
from ucf_vit.core.text import printable
from ucf_vit.parallel.tensor_pieces import TensorPiece, read_local_parts

PLACES = "DCP_SHARDING_INFO"
LONGEST = 300
"""Largest number of characters in the name of a tensor."""
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


_Sides = tuple[Annotated[int, Field(strict=True, ge=0, le=2**53)], ...]


class _PieceOffsets(TypedDict):
    saved_offsets: _Sides
    shape: _Sides


_PLACES = TypeAdapter(dict[str, _PieceOffsets])


@dataclass(frozen=True)
class Box:
    """A piece of a tensor in a file, by its offsets in the tensor and its sizes."""

    file: Path
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]


def write_shard(path: Path, pieces: Mapping[str, TensorPiece]) -> None:
    """Writes pieces, one of each tensor, to a safetensors file."""
    places = {name: {"saved_offsets": piece.offsets, "shape": piece.shape} for name, piece in pieces.items()}
    tensors = {name: piece.tensor.cpu().contiguous() for name, piece in pieces.items()}
    with usual_mode(path):
        save_file(tensors, path, {"format": "pt", "DCP_VERSION": "1.0", PLACES: json.dumps(places)})


class Shards:
    """Tensors in safetensors files: `shapes` and `types` of the full tensors by name, and their values.

    Raises CheckpointError naming a file that is not a safetensors file.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, torch.dtype] = {}
        self._boxes: dict[str, list[Box]] = {}
        self._replaced: dict[str, Tensor] = {}
        self._open = cache(_opened)
        for file in files:
            for name, shape, dtype, box in _pieces(file, self._open(file)):
                known = self.shapes.setdefault(name, shape), self.types.setdefault(name, dtype)
                if known != (shape, dtype):
                    raise CheckpointError(f"{file}: {name} has another shape or type than in other files")
                self._boxes.setdefault(name, []).append(box)
        for name, boxes in self._boxes.items():
            if sum(prod(box.sizes) for box in boxes) != prod(self.shapes[name]) or not _are_apart(
                tuple((box.offsets, box.sizes) for box in boxes)
            ):
                raise CheckpointError(
                    f"{boxes[0].file.parent}: {name} is incomplete, or has overlapping pieces"
                )

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def file_of(self, name: str) -> Path:
        """Returns a file that has a piece of the tensor `name`."""
        return self._boxes[name][0].file

    def read(self, name: str, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> Tensor:
        """Reads a box of the tensor `name`, given by its offsets and sizes."""
        if name in self._replaced:
            last = [first + size for first, size in zip(offsets, sizes, strict=True)]
            return self._replaced[name][_slices(list(offsets), last, (0,) * len(sizes))]
        result = torch.empty(sizes, dtype=self.types[name])
        for box in self._boxes[name] if result.numel() else ():
            first = [max(a, b) for a, b in zip(offsets, box.offsets, strict=True)]
            ends = zip(offsets, sizes, box.offsets, box.sizes, strict=True)
            last = [min(a + n, b + m) for a, n, b, m in ends]
            if any(a >= b for a, b in zip(first, last, strict=True)):
                continue
            content = self._open(box.file)
            if not sizes:
                return content.get_tensor(name).clone()
            common = content.get_slice(name)[_slices(first, last, box.offsets)]
            result[_slices(first, last, offsets)] = common
        return result

    def replace(self, name: str, tensor: Tensor) -> None:
        """Puts `tensor` in the place of the tensor `name` of the files, for all that is read from now on."""
        self._replaced[name] = tensor
        self.shapes[name], self.types[name] = tuple(tensor.shape), tensor.dtype

    def whole(self) -> dict[str, Tensor]:
        """Reads all full tensors."""
        return {name: self.read(name, (0,) * len(shape), shape) for name, shape in self.shapes.items()}

    def parts(self, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Reads this rank's parts of the tensors in `like` with the same name and shape, in their layout.

        Raises CheckpointError if one of two types is an integer and the other is not, since no cast preserves
        the values.
        """
        fitting = {
            name: tensor for name, tensor in like.items() if self.shapes.get(name) == tuple(tensor.shape)
        }
        for name, tensor in fitting.items():
            if self.types[name].is_floating_point != tensor.is_floating_point():
                types = " in place of ".join(
                    str(one).removeprefix("torch.") for one in (self.types[name], tensor.dtype)
                )
                raise CheckpointError(f"{self.file_of(name)}: {name} is {types}")
        return read_local_parts(fitting, self.read)


def _pieces(file: Path, content: Any) -> Iterator[tuple[str, tuple[int, ...], torch.dtype, Box]]:
    """Yields name, shape of the full tensor, type and box of each piece in a file. Raises CheckpointError."""
    try:
        places = _PLACES.validate_json((content.metadata() or {}).get(PLACES, "{}"))
    except ValidationError:
        raise CheckpointError(f"{file}: its header has no valid offsets of its pieces") from None
    for name in content.keys():  # noqa: SIM118
        piece = content.get_slice(name)
        sizes = tuple(piece.get_shape())
        place = places.get(name, {"saved_offsets": (0,) * len(sizes), "shape": sizes})
        offsets, shape, dtype = place["saved_offsets"], place["shape"], TYPES.get(piece.get_dtype())
        fits = len(offsets) == len(sizes) == len(shape) and all(map(_is_within, offsets, sizes, shape))
        if dtype is None or not fits or not name.isprintable() or len(name) > LONGEST:
            raise CheckpointError(f"{file}: {name[:LONGEST]!r} is not a readable piece of a tensor")
        yield name, shape, dtype, Box(file, offsets, sizes)


def _is_within(offset: int, size: int, whole: int) -> bool:
    return offset + size <= whole


@lru_cache(maxsize=1024)
def _are_apart(boxes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]) -> bool:
    """Returns whether no two boxes, `(offsets, sizes)` each, have an element in common."""
    if len(boxes) == 1 or not boxes[0][0]:
        return len(boxes) == 1
    first = np.array([offsets for offsets, _ in boxes], np.int64)
    last = first + np.array([sizes for _, sizes in boxes], np.int64)
    order = np.lexsort(first.T[::-1])
    first, last = first[order], last[order]
    ends = np.searchsorted(first[:, 0], last[:, 0])
    return not any(
        ((first[n + 1 : end] < last[n]) & (first[n] < last[n + 1 : end])).all(1).any()
        for n, end in enumerate(ends.tolist())
    )


def _slices(first: list[int], last: list[int], offsets: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for a, b, o in zip(first, last, offsets, strict=True))


def _opened(file: Path) -> Any:
    if file.exists() and not file.is_file():  # opening a FIFO would block
        raise CheckpointError(f"{file}: not a regular file")
    try:
        if printable(str(file)) == str(file):
            return safe_open(file, framework="pt")
        with file.open("rb") as handle:  # safetensors accepts only paths in UTF-8
            return safe_open(f"/dev/fd/{handle.fileno()}", framework="pt")
    except (SafetensorError, OSError) as cause:
        raise CheckpointError(f"{file}: not a safetensors file ({brief(cause)})") from None

"""Tensors in pieces over several safetensors files, written by many ranks and read by any others.

The files are those of `torch.distributed.checkpoint`'s safetensors storage, which reads them as well: the
header says where each piece begins in its tensor. A file without that, from elsewhere, holds whole tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ucf_vit.core.durable import usual_mode
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.text import printable
from ucf_vit.parallel.pieces import Piece, own_parts

PLACES, OFFSETS, SHAPE = "DCP_SHARDING_INFO", "saved_offsets", "shape"
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


@dataclass(frozen=True)
class Box:
    """A piece in a file."""

    file: Path
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]


def write_shard(path: Path, pieces: Mapping[str, Piece]) -> None:
    """Write pieces, one of each tensor, to a safetensors file."""
    places = {name: {OFFSETS: piece.offsets, SHAPE: piece.shape} for name, piece in pieces.items()}
    tensors = {name: piece.tensor.cpu().contiguous() for name, piece in pieces.items()}
    with usual_mode(path):
        save_file(tensors, path, {"format": "pt", "DCP_VERSION": "1.0", PLACES: json.dumps(places)})


class Shards:
    """What is in some safetensors files: `shapes` and `types` of the whole tensors by name, and their values.

    Raises CheckpointError naming a file that is none.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.types: dict[str, torch.dtype] = {}
        self._boxes: dict[str, list[Box]] = {}
        self._open = cache(_opened)
        for file in files:
            content = self._open(file)
            places = json.loads((content.metadata() or {}).get(PLACES, "{}"))
            for name in content.keys():  # noqa: SIM118
                piece = content.get_slice(name)
                sizes = tuple(piece.get_shape())
                place = places.get(name, {OFFSETS: [0] * len(sizes), SHAPE: sizes})
                self.shapes[name] = tuple(place[SHAPE])
                self.types[name] = TYPES[piece.get_dtype()]
                self._boxes.setdefault(name, []).append(Box(file, tuple(place[OFFSETS]), sizes))

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def read(self, name: str, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> Tensor:
        """A box of the tensor `name`. CheckpointError where no file has some of it."""
        found = torch.empty(sizes, dtype=self.types[name])
        missing = found.numel()
        for box in self._boxes[name] if missing else ():
            first = [max(a, b) for a, b in zip(offsets, box.offsets, strict=True)]
            ends = zip(offsets, sizes, box.offsets, box.sizes, strict=True)
            last = [min(a + n, b + m) for a, n, b, m in ends]
            if any(a >= b for a, b in zip(first, last, strict=True)):
                continue
            content = self._open(box.file)
            if not sizes:
                return content.get_tensor(name).clone()
            there = content.get_slice(name)[_slices(first, last, box.offsets)]
            found[_slices(first, last, offsets)] = there
            missing -= there.numel()
        if missing:
            raise CheckpointError(f"{self._boxes[name][0].file.parent}: {name} is incomplete")
        return found

    def whole(self) -> dict[str, Tensor]:
        """All tensors, whole."""
        return {name: self.read(name, (0,) * len(shape), shape) for name, shape in self.shapes.items()}

    def parts(self, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This rank's parts of the tensors of the same name and shape in `like`, laid out as those."""
        fitting = {
            name: tensor for name, tensor in like.items() if self.shapes.get(name) == tuple(tensor.shape)
        }
        return own_parts(fitting, self.read)


def _slices(first: list[int], last: list[int], offsets: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for a, b, o in zip(first, last, offsets, strict=True))


def _opened(file: Path) -> Any:
    try:
        if printable(str(file)) == str(file):
            return safe_open(file, framework="pt")
        with file.open("rb") as handle:  # safetensors knows no paths that are no UTF-8
            return safe_open(f"/dev/fd/{handle.fileno()}", framework="pt")
    except (SafetensorError, OSError) as cause:
        raise CheckpointError(f"{file}: no safetensors file ({cause})") from None

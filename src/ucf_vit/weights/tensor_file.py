"""Tensors in a file of any program: safetensors, or torch's own format with plain values only."""

from __future__ import annotations

import argparse
import pickle  # noqa: TID251, only for the type of an error
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ucf_vit.checkpoint.shards import Shards
from ucf_vit.core.errors import CheckpointError, brief

CONTAINERS = (
    "model_ema",
    "state_dict_ema",
    "ema",
    "model_state_dict",
    "state_dict",
    "model",
    "network_weights",
)
"""Entries of a file that hold weights, the averaged ones first."""


class Lazy(Mapping[str, Tensor]):
    """Tensors of safetensors files by name, each read when it is used; `metadata` are those of the header."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._shards:
            raise KeyError(name)
        shape = self._shards.shapes[name]
        return self._shards.read(name, (0,) * len(shape), shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards.shapes)

    def __len__(self) -> int:
        return len(self._shards.shapes)

    def __contains__(self, name: object) -> bool:
        return name in self._shards.shapes

    def without_values(self) -> dict[str, Tensor]:
        """Returns tensors of these shapes and types on device `meta`."""
        shards = self._shards
        return {
            name: torch.empty(shape, dtype=shards.types[name], device="meta")
            for name, shape in shards.shapes.items()
        }


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Returns the tensors in a file by name; their values are read from the file only where they are used.

    Of several sets of weights in a file the averaged ones are taken. Raises CheckpointError naming the file.
    """
    if is_safetensors(path) or path.suffix == ".safetensors":
        return Lazy(Shards([path]))
    content = _load(path)
    while not _are_tensors(content):
        inner = next((content[name] for name in CONTAINERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            keys = ", ".join(map(str, list(content)[:8])) or "nothing"
            raise CheckpointError(f"{path}: no weights in it, only {keys}; expected a state dict")
        content = inner
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def is_safetensors(path: Path) -> bool:
    """Returns whether a file begins as safetensors do: with the length of a header in JSON."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def without_values(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Returns tensors of the same names, shapes and types on device `meta`."""
    if isinstance(tensors, Lazy):
        return tensors.without_values()
    return {name: value.to("meta") for name, value in tensors.items()}


def _are_tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) and value.ndim for value in content.values())


def _load(path: Path) -> Mapping[Any, Any]:
    """Loads a file of torch with plain values only; tensors are mapped, not read, if its format allows."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # options that some programs save too
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as cause:
        raise CheckpointError(
            f"{path}: holds more than tensors and plain values, which are not unpickled since they could run "
            f"code; save the weights as safetensors, or torch.save(model.state_dict(), ...) ({brief(cause)})"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise CheckpointError(f"{path}: not a file of weights ({brief(cause)})") from None
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}; expected a state dict")
    return content

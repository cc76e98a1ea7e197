"""Reads a checkpoint: metadata, verified files, and tensors on demand."""

from __future__ import annotations

import hashlib
import io
import stat
from codecs import BOM_UTF8
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ucf_vit.checkpoint.schema import AVERAGED, STATE, WEIGHTS, kind_of, parse_config, parse_meta
from ucf_vit.checkpoint.shards import Shards
from ucf_vit.core.errors import CheckpointError, brief
from ucf_vit.parallel.ranks.world import World

META = "meta.json"
SINGLE_PROCESS = World(0, 1, torch.device("cpu"))
READERS = 4
"""Number of files that a rank verifies at the same time."""
LARGEST = 2**30
"""Largest size of metadata or state in bytes."""
TRIES = 5


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint; tensors are read on demand. `state` is that of the first rank."""

    directory: Path
    state: dict[str, Any]
    meta: dict[str, Any]

    def shards(self, kind: str) -> Shards:
        """Returns the tensors of a kind: `WEIGHTS`, `AVERAGED` (empty without an average) or `OPTIMIZER`."""
        return shards(self.directory, self.meta, kind)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Full weights by name."""
        return self.shards(WEIGHTS).whole()

    @cached_property
    def averaged(self) -> dict[str, Tensor]:
        """Full averaged weights by name, see `Ema`; empty if there are none."""
        return self.shards(AVERAGED).whole()

    @property
    def has_average(self) -> bool:
        """Whether there are averaged weights."""
        return any(kind_of(name) == AVERAGED for name in self.meta["sha256"])

    @property
    def config(self) -> dict[str, Any]:
        """Sections of the config that the checkpoint was trained with. Raises CheckpointError if missing."""
        return parse_config(self.meta.get("config", ""), self.directory / META)

    @property
    def for_inference(self) -> dict[str, Tensor]:
        """Full weights for inference: averaged ones, and plain ones of parameters without an average."""
        return {**self.weights, **self.averaged}


def load(directory: Path, world: World = SINGLE_PROCESS) -> Checkpoint:
    """Loads a checkpoint, whose files all ranks verify together (collective). Unpickles only plain values.

    Raises CheckpointError on every rank, naming a missing or damaged file.
    """
    meta = world.on_main(lambda: read_meta(directory))
    own = list(meta["sha256"].items())[world.rank :: world.size]
    with ThreadPoolExecutor(READERS) as readers:
        results = readers.map(lambda one: _problem(directory / one[0], one[1]), own)
        problems = [problem for problem in results if problem]
    problems = [problem for of_rank in world.gather(problems) for problem in of_rank]
    if problems:
        raise CheckpointError("; ".join(problems))
    return Checkpoint(directory, world.on_main(lambda: _read_state(directory, meta)), meta)


def read_meta(directory: Path) -> dict[str, Any]:
    """Reads the `meta.json` of a checkpoint. Raises CheckpointError if it is missing or damaged."""
    path = directory / META
    try:
        text = _content(path).removeprefix(BOM_UTF8)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; {directory} is not a complete checkpoint") from None
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path}: cannot be read ({cause})") from None
    return parse_meta(text, path)


def read_config(directory: Path) -> dict[str, Any]:
    """Reads the sections of the config of a checkpoint. Raises CheckpointError if they are missing."""
    return parse_config(read_meta(directory).get("config", ""), directory / META)


def shards(directory: Path, meta: Mapping[str, Any], kind: str) -> Shards:
    """Returns the tensors of a kind in a checkpoint with the metadata `meta`."""
    return Shards(directory / name for name in meta["sha256"] if kind_of(name) == kind)


def sha256(path: Path) -> str:
    """Returns the SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_state(directory: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    path = directory / next(name for name in meta["sha256"] if kind_of(name) == STATE)
    try:
        state = torch.load(io.BytesIO(_content(path)), map_location="cpu", weights_only=True)
    except Exception as cause:  # torch raises errors of all kinds for what it has not written
        raise CheckpointError(
            f"{path}: damaged, or not only tensors and plain values ({brief(cause)})"
        ) from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dictionary")
    return state


def _content(path: Path) -> bytes:
    """Returns the bytes of a file. Raises ValueError if it is not a regular file, or too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size > LARGEST:
        raise ValueError(f"{status.st_size:,} bytes are too many")
    return path.read_bytes()


def _problem(path: Path, expected: str) -> str | None:
    if not path.is_file():
        return f"{path}: missing; the checkpoint is incomplete"
    try:
        return None if sha256(path) == expected else f"{path}: damaged (its SHA-256 is not the one in {META})"
    except OSError as cause:
        return f"{path}: cannot be read ({cause})"

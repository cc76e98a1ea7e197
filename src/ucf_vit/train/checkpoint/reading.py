"""Reading a checkpoint: its description, verified files, tensors when they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251
from typing import Any

import torch
from torch import Tensor

from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.text import read_text
from ucf_vit.parallel.world import World
from ucf_vit.train.checkpoint.shards import Shards

FORMAT = 2
WEIGHTS, AVERAGED, OPTIMIZER, STATE = "model", "ema", "optimizer", "state"
META = "meta.json"
ALONE = World(0, 1, torch.device("cpu"))
READERS = 4
"""Files that a rank verifies at the same time."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint; tensors are read when they are asked for.

    `state` is what the first rank wrote beside them.
    """

    directory: Path
    state: dict[str, Any]
    meta: dict[str, Any]

    def shards(self, kind: str) -> Shards:
        """The tensors of a kind: `WEIGHTS`, `AVERAGED` (none where no average was kept) or `OPTIMIZER`."""
        return shards(self.directory, self.meta, kind)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The weights, whole."""
        return self.shards(WEIGHTS).whole()

    @cached_property
    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights, whole (see `Ema`); empty where none were kept."""
        return self.shards(AVERAGED).whole()

    @property
    def has_average(self) -> bool:
        """Whether averaged weights were kept."""
        return any(kind_of(name) == AVERAGED for name in self.meta["sha256"])

    @property
    def for_inference(self) -> dict[str, Tensor]:
        """The weights to use, whole: averaged ones where there are some, all others as they are."""
        return {**self.weights, **self.averaged}


def load(directory: Path, world: World = ALONE) -> Checkpoint:
    """A checkpoint directory, verified by all ranks together (collective). Only plain values are unpickled.

    Raises CheckpointError on every rank, naming the file that is missing or damaged.
    """
    meta = world.on_main(lambda: read_meta(directory))
    own = list(meta["sha256"].items())[world.rank :: world.size]
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda one: _problem(directory / one[0], one[1]), own)
        problems = [problem for problem in found if problem]
    problems = [problem for of_rank in world.gather(problems) for problem in of_rank]
    if problems:
        raise CheckpointError("; ".join(problems))
    return Checkpoint(directory, _read_state(directory, meta), meta)


def read_meta(directory: Path) -> dict[str, Any]:
    """The `meta.json` of a checkpoint. Raises CheckpointError when it cannot be used."""
    path = directory / META
    try:
        meta = json.loads(read_text(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; {directory} is not a complete checkpoint") from None
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path}: cannot be read ({cause})") from None
    known = isinstance(meta, dict) and meta.get("format") == FORMAT
    if not known or not isinstance(meta.get("sha256"), dict) or not meta["sha256"]:
        raise CheckpointError(f"{path}: not a checkpoint of format {FORMAT}")
    return meta


def shards(directory: Path, meta: Mapping[str, Any], kind: str) -> Shards:
    """The tensors of a kind in a checkpoint that has the description `meta`."""
    return Shards(directory / name for name in meta["sha256"] if kind_of(name) == kind)


def kind_of(file: str) -> str:
    """What a file of a checkpoint holds, such as `WEIGHTS`."""
    return file.split(".")[0].split("-")[0]


def sha256(path: Path) -> str:
    """The SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_state(directory: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    path = directory / next((name for name in meta["sha256"] if kind_of(name) == STATE), f"{STATE}.pt")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as cause:
        raise CheckpointError(f"{path}: more than tensors and plain values ({cause})") from None


def _problem(path: Path, expected: str) -> str | None:
    if not path.is_file():
        return f"{path}: missing; the checkpoint is incomplete"
    try:
        return None if sha256(path) == expected else f"{path}: damaged (its SHA-256 is not the one in {META})"
    except OSError as cause:
        return f"{path}: cannot be read ({cause})"

"""Checkpoints that survive a kill at any moment: two slots, written aside, flushed, renamed, checked.

A slot is a directory: `model.safetensors` (weights), `ema.safetensors` (their average, where one is kept),
`optimizer.safetensors` (moments, by the names of the weights), `state.pt` (loss scale, data position,
random states, step), `meta.json` (versions, config, layout, checksums). `<name>_even` and `<name>_odd` are
written in turn.

Several ranks write a file of each kind in place of one, `model-00001-of-00004.safetensors`, with the pieces
they hold; see `shards`. Nothing in a checkpoint depends on the layout that it was written in.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import platform
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251
from typing import Any

import torch
from torch import Tensor

import ucf_vit
from ucf_vit.core.durable import flush
from ucf_vit.core.errors import CheckpointError
from ucf_vit.parallel.pieces import Piece
from ucf_vit.parallel.world import World
from ucf_vit.train.replacing import aside_of, finish_replacing, replace
from ucf_vit.train.shards import Shards, write_shard

FORMAT = 2
WEIGHTS, AVERAGED, OPTIMIZER, STATE = "model", "ema", "optimizer", "state"
META = "meta.json"
SLOTS = ("even", "odd")
ALONE = World(0, 1, torch.device("cpu"))
READERS = 4
"""Files that a rank verifies at the same time."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint; tensors are read when they are asked for.

    `state` is what this rank wrote beside the tensors, or rank 0 where it wrote nothing.
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


def prepare(directory: Path) -> None:
    """Make an empty place to write the checkpoint `directory` in. Call it on one process, first."""
    aside = aside_of(directory)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)


def write(
    directory: Path, parts: Mapping[str, Mapping[str, Piece]], state: dict[str, Any], rank: int, ranks: int
) -> dict[str, str]:
    """Write this rank's files aside and flush them; their SHA-256 sums by name.

    `parts` are pieces by kind and name; `state` is plain values and tensors.
    """
    aside = aside_of(directory)
    paths = []
    for kind, pieces in parts.items():
        if pieces:
            paths.append(aside / _file(kind, "safetensors", rank, ranks))
            write_shard(paths[-1], pieces)
    paths.append(aside / _file(STATE, "pt", rank, ranks))
    torch.save(state, paths[-1])
    for path in paths:
        flush(path)
    return {path.name: _sha256(path) for path in paths}


def commit(directory: Path, meta: Mapping[str, Any], sums: Mapping[str, str], keep: bool = False) -> None:
    """Make what all ranks have written the checkpoint `directory`. Call it on one process.

    The directory is complete or as it was before, whenever the process dies. `meta` is JSON; versions and the
    sums are added. With `keep`, what was there is kept as `<name>_step_<step>`.
    """
    aside = aside_of(directory)
    ordered = dict(sorted(sums.items()))
    content = {"format": FORMAT, "written": time.time(), "versions": versions(), "sha256": ordered, **meta}
    (aside / META).write_text(json.dumps(content, indent=1), encoding="utf-8")
    for path in (aside / META, aside):
        flush(path)
    replace(directory, aside, kept_as(directory) if keep else None)


def save(
    directory: Path,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    meta: dict[str, Any],
    averaged: dict[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint of whole tensors by one process, without an optimizer."""
    prepare(directory)
    kinds = {WEIGHTS: weights, AVERAGED: averaged or {}}
    parts = {
        kind: {name: Piece(t.detach(), (0,) * t.ndim, tuple(t.shape)) for name, t in tensors.items()}
        for kind, tensors in kinds.items()
    }
    commit(directory, meta, write(directory, parts, state, rank=0, ranks=1))


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
    return Checkpoint(directory, _read_state(directory, meta, world.rank), meta)


def read_meta(directory: Path) -> dict[str, Any]:
    """The `meta.json` of a checkpoint. Raises CheckpointError when it cannot be used."""
    path = directory / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; {directory} is not a complete checkpoint") from None
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path}: cannot be read ({cause})") from None
    known = isinstance(meta, dict) and meta.get("format") == FORMAT
    if not known or not isinstance(meta.get("sha256"), dict) or not isinstance(meta.get("written"), float):
        raise CheckpointError(f"{path}: not a checkpoint of format {FORMAT}")
    return meta


def find(directory: Path, name: str) -> list[Path]:
    """Checkpoints called `name` in `directory`, newest first: `name` itself, or its slots and older ones.

    What was written last is newest, whatever its step: a run may have been taken back to an earlier one. A
    slot whose description is damaged comes first, so that `load_newest` reports it.
    """
    exact = directory / name
    for path in (exact, *slots(directory, name)):
        finish_replacing(path)
    if (exact / META).is_file():
        return [exact]
    written = {}
    kept = directory.glob(f"{glob.escape(name)}_step_*")
    for slot in filter(Path.is_dir, (*slots(directory, name), *kept)):
        try:
            written[slot] = read_meta(slot)["written"]
        except CheckpointError:
            written[slot] = math.inf
    return sorted(written, key=lambda slot: written[slot], reverse=True)


def load_newest(directory: Path, name: str, world: World = ALONE) -> tuple[Checkpoint | None, list[str]]:
    """The newest valid checkpoint called `name`, and what was wrong with newer ones (collective).

    None when there is no checkpoint at all; CheckpointError when there are some and none is valid.
    """
    problems: list[str] = []
    candidates = world.on_main(lambda: find(directory, name))
    for candidate in candidates:
        try:
            return load(candidate, world), problems
        except CheckpointError as problem:
            problems.append(str(problem))
    if candidates:
        raise CheckpointError("no valid checkpoint left: " + "; ".join(problems))
    return None, problems


def slots(directory: Path, name: str) -> list[Path]:
    """The even and the odd slot of the checkpoint `name`."""
    return [directory / f"{name}_{slot}" for slot in SLOTS]


def kept(directory: Path, name: str) -> list[Path]:
    """Earlier checkpoints that were kept beside `name`, those written last first."""
    found = [path for path in directory.glob(f"{name}_step_*") if (path / META).is_file()]
    return sorted(found, key=lambda path: read_meta(path)["written"], reverse=True)


def kept_as(directory: Path) -> Path | None:
    """Where the checkpoint at `directory` is kept once there is a newer or better one; None if it is none."""
    try:
        return directory.with_name(f"{_name(directory)}_step_{read_meta(directory)['step']}")
    except CheckpointError:
        return None


def _name(directory: Path) -> str:
    return directory.name.removesuffix("_even").removesuffix("_odd")


def versions() -> dict[str, str]:
    """Versions that may matter to whoever reads a checkpoint."""
    return {"ucf_vit": ucf_vit.__version__, "torch": torch.__version__, "python": platform.python_version()}


def _file(kind: str, suffix: str, rank: int, ranks: int) -> str:
    return f"{kind}.{suffix}" if ranks == 1 else f"{kind}-{rank + 1:05}-of-{ranks:05}.{suffix}"


def shards(directory: Path, meta: Mapping[str, Any], kind: str) -> Shards:
    """The tensors of a kind in a checkpoint that has the description `meta`."""
    return Shards(directory / name for name in meta["sha256"] if kind_of(name) == kind)


def kind_of(file: str) -> str:
    """What a file of a checkpoint holds, such as `WEIGHTS`."""
    return file.split(".")[0].split("-")[0]


def _read_state(directory: Path, meta: Mapping[str, Any], rank: int) -> dict[str, Any]:
    states = [name for name in meta["sha256"] if kind_of(name) == STATE]
    path = directory / states[rank if rank < len(states) else 0]
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as cause:
        raise CheckpointError(f"{path}: more than tensors and plain values ({cause})") from None


def _problem(path: Path, expected: str) -> str | None:
    if not path.is_file():
        return f"{path}: missing; the checkpoint is incomplete"
    try:
        return (
            None if _sha256(path) == expected else f"{path}: damaged (its SHA-256 is not the one in {META})"
        )
    except OSError as cause:
        return f"{path}: cannot be read ({cause})"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

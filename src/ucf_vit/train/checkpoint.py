"""Checkpoints that survive a kill at any moment: two slots, written aside, flushed, renamed, checked.

A slot is a directory: `model.safetensors` (weights), `ema.safetensors` (their average, where one is kept),
`state.pt` (optimizer, loss scale, data position, random states, step), `meta.json` (versions, config, sums).
`<name>_even` and `<name>_odd` are written in turn.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import ucf_vit
from ucf_vit.core.errors import CheckpointError

FORMAT = 1
WEIGHTS, AVERAGED, STATE, META = "model.safetensors", "ema.safetensors", "state.pt", "meta.json"
SLOTS = ("even", "odd")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read and verified; `averaged` weights (see `Ema`) are empty where none were kept."""

    directory: Path
    weights: dict[str, Tensor]
    state: dict[str, Any]
    meta: dict[str, Any]
    averaged: dict[str, Tensor] = field(default_factory=dict)

    @property
    def for_inference(self) -> dict[str, Tensor]:
        """The weights to use: averaged ones where there are some, all others as they are."""
        return {**self.weights, **self.averaged}


def save(
    directory: Path,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    meta: dict[str, Any],
    averaged: dict[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint to `directory`, which is complete or as it was before, whenever the process dies.

    `meta` is JSON; versions and SHA-256 sums are added. Call it on one process.
    """
    aside = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    _save_tensors(weights, aside / WEIGHTS)
    if averaged:
        _save_tensors(averaged, aside / AVERAGED)
    torch.save(state, aside / STATE)
    sums = {path.name: _sha256(path) for path in sorted(aside.iterdir())}
    meta = {"format": FORMAT, "written": time.time(), "versions": versions(), "sha256": sums, **meta}
    (aside / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
    for path in (*aside.iterdir(), aside):
        _flush(path)
    _replace(directory, aside)


def load(directory: Path) -> Checkpoint:
    """Read and verify one checkpoint directory. Nothing is unpickled beyond tensors and plain values.

    Raises CheckpointError naming the file that is missing or damaged.
    """
    meta = read_meta(directory)
    for name, expected in meta["sha256"].items():
        path = directory / name
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; the checkpoint is incomplete")
        if _sha256(path) != expected:
            raise CheckpointError(f"{path}: damaged (its SHA-256 is not the one in {META})")
    try:
        state = torch.load(directory / STATE, map_location="cpu", weights_only=True)
    except UnpicklingError as cause:
        raise CheckpointError(f"{directory / STATE}: more than tensors and plain values ({cause})") from None
    averaged = load_file(directory / AVERAGED) if AVERAGED in meta["sha256"] else {}
    return Checkpoint(directory, load_file(directory / WEIGHTS), state, meta, averaged)


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
    """Checkpoints called `name` in `directory`, newest first: `name` itself, or its even and odd slots.

    What was written last is newest, whatever its step: a run may have been taken back to an earlier one. A
    slot whose description is damaged comes first, so that `load_newest` reports it.
    """
    exact = directory / name
    for path in (exact, *slots(directory, name)):
        _finish_replacing(path)
    if (exact / META).is_file():
        return [exact]
    written = {}
    for slot in filter(Path.is_dir, slots(directory, name)):
        try:
            written[slot] = read_meta(slot)["written"]
        except CheckpointError:
            written[slot] = math.inf
    return sorted(written, key=lambda slot: written[slot], reverse=True)


def load_newest(directory: Path, name: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest valid checkpoint called `name`, and what was wrong with newer ones.

    None when there is no checkpoint at all; CheckpointError when there are some and none is valid.
    """
    problems: list[str] = []
    candidates = find(directory, name)
    for candidate in candidates:
        try:
            return load(candidate), problems
        except CheckpointError as problem:
            problems.append(str(problem))
    if candidates:
        raise CheckpointError("no valid checkpoint left: " + "; ".join(problems))
    return None, problems


def slots(directory: Path, name: str) -> list[Path]:
    """The even and the odd slot of the checkpoint `name`."""
    return [directory / f"{name}_{slot}" for slot in SLOTS]


def versions() -> dict[str, str]:
    """Versions that may matter to whoever reads a checkpoint."""
    return {"ucf_vit": ucf_vit.__version__, "torch": torch.__version__, "python": platform.python_version()}


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _previous(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")


def _finish_replacing(directory: Path) -> None:
    """Take back what a kill between the two renames of `_replace` left under another name."""
    if not directory.exists() and _previous(directory).is_dir():
        _previous(directory).rename(directory)


def _replace(directory: Path, aside: Path) -> None:
    _finish_replacing(directory)
    previous = _previous(directory)
    shutil.rmtree(previous, ignore_errors=True)
    if directory.exists():
        directory.rename(previous)
    aside.rename(directory)
    _flush(directory.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

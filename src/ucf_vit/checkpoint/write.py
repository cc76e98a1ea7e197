"""Writes a checkpoint: each rank writes its files to a temporary directory, then one process commits it."""

from __future__ import annotations

import io
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ucf_vit
from ucf_vit.checkpoint.find import kept_path, last_number
from ucf_vit.checkpoint.read import META, sha256
from ucf_vit.checkpoint.schema import AVERAGED, FORMAT, STATE, WEIGHTS
from ucf_vit.checkpoint.shards import write_shard
from ucf_vit.checkpoint.swap_directory import make_aside, replace
from ucf_vit.core.files.atomic_files import flush
from ucf_vit.parallel.tensor_pieces import TensorPiece


def prepare(directory: Path) -> Path:
    """Creates the temporary directory of the checkpoint `directory`. Call it first, on one process."""
    return make_aside(directory)


def write(
    aside: Path, parts: Mapping[str, Mapping[str, TensorPiece]], state: dict[str, Any], rank: int, ranks: int
) -> dict[str, str]:
    """Writes and flushes this rank's files in `aside`, see `prepare`; returns their SHA-256 sums by name.

    `parts` are pieces by kind and name. `state`, of plain values and tensors, is written by the first rank.
    """
    paths = []
    for kind, pieces in parts.items():
        if pieces:
            paths.append(aside / _file(kind, rank, ranks))
            write_shard(paths[-1], pieces)
    if rank == 0:
        paths.append(aside / f"{STATE}.pt")
        buffer = io.BytesIO()  # torch's own writer does not say why it fails
        torch.save(state, buffer)
        paths[-1].write_bytes(buffer.getbuffer())
    for path in paths:
        flush(path)
    return {path.name: sha256(path) for path in paths}


def commit(
    directory: Path,
    aside: Path,
    meta: Mapping[str, Any],
    sums: Mapping[str, str],
    *,
    number: int | None = None,
    keep: bool = False,
) -> None:
    """Makes `aside`, to which all ranks have written, the checkpoint `directory`. Call it on one process.

    The directory is complete or unchanged whenever the process dies. `meta` is JSON values; versions and sums
    are added. `number` orders checkpoints (default: the next one in the parent directory). With `keep` the
    former checkpoint is kept as `<name>_step_<step>`.
    """
    if number is None:
        number = last_number(directory.parent) + 1
    content = {
        "format": FORMAT,
        "number": number,
        "written": time.time(),
        "versions": versions(),
        "sha256": dict(sorted(sums.items())),
        **meta,
    }
    (aside / META).write_text(json.dumps(content, indent=1), encoding="utf-8")
    for path in (aside / META, aside):
        flush(path)
    replace(directory, aside, kept_path(directory) if keep else None)


def save(
    directory: Path,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    meta: dict[str, Any],
    averaged: dict[str, Tensor] | None = None,
) -> None:
    """Writes a checkpoint of full tensors by one process, without an optimizer."""
    kinds = {WEIGHTS: weights, AVERAGED: averaged or {}}
    parts = {
        kind: {name: TensorPiece(t.detach(), (0,) * t.ndim, tuple(t.shape)) for name, t in tensors.items()}
        for kind, tensors in kinds.items()
    }
    aside = prepare(directory)
    commit(directory, aside, meta, write(aside, parts, state, rank=0, ranks=1))


def versions() -> dict[str, str]:
    """Returns the versions of ucf_vit, torch and Python, to be saved in a checkpoint."""
    return {"ucf_vit": ucf_vit.__version__, "torch": torch.__version__, "python": platform.python_version()}


def _file(kind: str, rank: int, ranks: int) -> str:
    return f"{kind}.safetensors" if ranks == 1 else f"{kind}-{rank + 1:05}-of-{ranks:05}.safetensors"

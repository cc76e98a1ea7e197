"""Describes a checkpoint and exports its weights, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from ucf_vit import checkpoint
from ucf_vit.checkpoint import AVERAGED, OPTIMIZER, WEIGHTS
from ucf_vit.checkpoint.locate import locate
from ucf_vit.checkpoint.shards import Shards
from ucf_vit.checkpoint.weights_file import check_weights_file, write_weights
from ucf_vit.config import patch_of
from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.text import printable


def describe(directory: Path) -> str:
    """Returns a text with step, versions and layout of a checkpoint, and shapes and types of its weights.

    Reads only `meta.json` and the headers of the files. Raises CheckpointError, see `locate`.
    """
    directory = locate(directory)
    meta = checkpoint.read_meta(directory)
    layout = meta.get("layout", {})
    lines = [
        f"{directory}: task {meta.get('task')}, step {meta.get('step')}, epoch {meta.get('epoch')}",
        "versions: " + ", ".join(f"{name} {version}" for name, version in meta["versions"].items()),
        "layout: " + ", ".join(f"{name} {value}" for name, value in layout.items()),
        *(f"{name}: {value:.6g}" for name, value in meta.get("metrics", {}).items()),
    ]
    kinds = {kind: checkpoint.shards(directory, meta, kind) for kind in (WEIGHTS, AVERAGED, OPTIMIZER)}
    for kind, shards in kinds.items():
        files = sum(checkpoint.kind_of(name) == kind for name in meta["sha256"])
        total = sum(_bytes(shards, name) for name in shards.shapes)
        lines.append(f"{kind}: {len(shards.shapes)} tensors, {decimal(total)}, {files} files")
    shards = kinds[WEIGHTS]
    width = max(map(len, shards.shapes), default=0)
    for name, shape in shards.shapes.items():
        dtype = str(shards.types[name]).removeprefix("torch.")
        sides = " x ".join(map(str, shape)) or "scalar"
        lines.append(f"  {name:{width}}  {sides:>20}  {dtype:8}  {decimal(_bytes(shards, name)):>9}")
    return "\n".join(lines)


def export_weights(directory: Path, file: Path, *, averaged: bool = False, overwrite: bool = False) -> int:
    """Writes all weights to one safetensors file; returns the number of parameters.

    With `averaged` these are the averaged weights, and plain ones of parameters without an average. Raises
    CheckpointError if the checkpoint is damaged or has no average, UserError if the file exists and
    `overwrite` is not set, does not end in .safetensors, or cannot be written.
    """
    check_weights_file(file, overwrite)
    directory = locate(directory)
    read = checkpoint.load(directory)
    if averaged and not read.has_average:
        raise CheckpointError(f"{directory} has no averaged weights (trainer.ema_decay was 0)")
    return write_weights(file, read.for_inference if averaged else read.weights, facts_of(read))


def facts_of(read: checkpoint.Checkpoint) -> dict[str, str]:
    """Returns the facts about a checkpoint that files of its weights have in their headers.

    Lists are JSON, sides such as `16x16`; what the checkpoint does not tell is empty.
    """
    facts = {
        "checkpoint": printable(str(read.directory)),
        "step": str(read.meta.get("step")),
        "grid": "x".join(map(str, read.meta.get("grid", ()))),
    }
    if "config" not in read.meta:
        return facts
    config = read.config
    model, seen = config["model"], config["input"]
    patch = patch_of(config)
    return {
        **facts,
        "task": str(config["trainer"].get("task", "")),
        "network": str(model.get("name", "")),
        "num_heads": str(model.get("num_heads", "")),
        "patch": "x".join(map(str, patch)),
        "tile": "x".join(map(str, seen["tile_size"][: len(patch)])),
        "variables": json.dumps(seen["default_vars"]),
        "classes": json.dumps(_class_names(read.meta.get("record", {}), model.get("num_classes") or 0)),
    }


def _class_names(record: Mapping[str, Any], count: int) -> list[str]:
    """Returns the names of the classes in the record of a checkpoint, numbers where only others have names.

    Empty if none has.
    """
    numbered = {str(number): name for number, name in enumerate(record.get("class_names", ()))}
    names = numbered or record.get("label_names", {})
    every = [str(names.get(number, number)) for number in map(str, range(count))]
    return every if names else []


def _bytes(shards: Shards, name: str) -> int:
    return prod(shards.shapes[name]) * shards.types[name].itemsize

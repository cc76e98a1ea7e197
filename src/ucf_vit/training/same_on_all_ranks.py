"""Checks that all processes of a run have the same config, versions, code and data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

import ucf_vit
from ucf_vit.checkpoint import versions
from ucf_vit.config import Run, dump
from ucf_vit.core.errors import UserError
from ucf_vit.core.lists import first_and_rest
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.sources import Item
from ucf_vit.parallel.ranks.world import World

_SHOWN = 3
_ABSENT = "(nothing)"


def check_program(run: Run, world: World) -> None:
    """Raises UserError if a process has another config, other versions or other code than rank 0."""
    if world.size > 1:
        keys = {".".join(key): str(value) for key, value in _leaves(yaml.safe_load(dump(run)))}
        check_same({**keys, **versions(), "code of ucf_vit": _code_hash()}, world)


def check_data(datasets: Iterable[Dataset], world: World) -> None:
    """Raises UserError if a process sees other files or cuts other tiles than rank 0."""
    if world.size > 1:
        check_same(
            {
                f"{dataset.name}: {item.image}, step {item.step}": f"{len(tiling)} tiles, {_label(item)}"
                for dataset in datasets
                for item, tiling in zip(dataset.items, dataset.tilings, strict=True)
            },
            world,
        )


def _label(item: Item) -> str:
    return f"label {item.label}" if item.class_index is None else f"class {item.class_index}"


def check_same(own: Mapping[str, str], world: World) -> None:
    """Raises UserError on every rank, naming the differences, unless `own` is that of rank 0 (collective).

    Only a hash is exchanged if nothing differs.
    """
    hashes = world.gather(hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest())
    if len(set(hashes)) == 1:
        return
    first = world.broadcast(dict(own))
    differing = [name for name in sorted({*first, *own}) if first.get(name) != own.get(name)]
    lines = [
        f"{name} is {own.get(name, _ABSENT)}, on rank 0 {first.get(name, _ABSENT)}" for name in differing
    ]
    texts = world.gather("; ".join(first_and_rest(lines, _SHOWN)))
    by_rank = [f"rank {rank}: {text}" for rank, text in enumerate(texts) if text]
    raise UserError(
        f"the processes do not run the same configuration, code and data. {'. '.join(by_rank[:_SHOWN])}"
    )


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, str(key)))
    else:
        yield path, value


def _code_hash() -> str:
    """Returns a hash of the package's source files."""
    root = Path(ucf_vit.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]

"""Manifest of a prepared data set: its items, where they are stored, and a hash of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ucf_vit.core.errors import DataError
from ucf_vit.data.reading import reading
from ucf_vit.data.values.normalization import Normalization

FORMAT, VERSION = "ucf_vit.prepared", 1
FILE, UNFINISHED = "manifest.json", "unfinished.jsonl"
PACKS = "packs"


@dataclass(frozen=True)
class Pack:
    """Items of one shape and type in one Zarr array `[N, C, *S]`, labels in another `[N, *S]`.

    `shape` is `(C, *S)` of the source; the first `channels` are stored. A chunk is `(1, *chunk)`. A shard
    contains all N items, up to `depth` voxels of their first axis. `items` are numbers in the manifest;
    `files` has size in bytes and hash by path within the pack.
    """

    name: str
    shape: tuple[int, ...]
    channels: int
    dtype: str
    label_dtype: str | None
    chunk: tuple[int, ...]
    depth: int
    items: tuple[int, ...]
    files: Mapping[str, tuple[int, str]]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Pack:
        """Returns the pack that a JSON entry describes."""
        lists = {key: tuple(entry[key]) for key in ("shape", "chunk", "items")}
        files = {path: (int(size), str(digest)) for path, (size, digest) in entry["files"].items()}
        return cls(**{**entry, **lists, "files": files})

    def shards(self, part: str) -> list[str]:
        """Returns paths, within the pack, of the shards of `part` ("image", "label") along the first axis."""
        dims = len(self.shape) - 1
        ahead, behind = (2 if part == "image" else 1), dims - 1
        count = -(-self.shape[1] // self.depth)
        return [f"{part}/c.{'0.' * ahead}{number}{'.0' * behind}" for number in range(count)]


@dataclass(frozen=True)
class Manifest:
    """Description of a prepared data set, without its values.

    `folder` is that of the packs, below the manifest; empty where items are .npy files, as for npy_pairs.
    `source` and `options` are those that it was made from. `keys`, `stratum` (an index into `strata`) and
    `classes`, `groups` and `splits` (empty where items have none) have one entry per item, in the order of
    the source. `grids` are the grids of the items and how they were changed, as `Regrid.dump` returns them
    (None: without a position in space; empty in files of earlier versions).
    """

    source: str
    options: Mapping[str, Any]
    plan: str
    variables: tuple[str, ...]
    spatial_dims: int
    missing: bool
    class_names: tuple[str, ...]
    normalization: Normalization
    keys: tuple[str, ...]
    strata: tuple[str, ...]
    stratum: tuple[int, ...]
    classes: tuple[int | None, ...]
    packs: tuple[Pack, ...]
    skipped: tuple[tuple[str, str], ...] = field(default=())
    groups: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    folder: str = PACKS
    grids: tuple[Mapping[str, Any] | None, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for pack in self.packs for size, _ in pack.files.values())

    def dump(self) -> bytes:
        """Returns the manifest as JSON."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}).encode()


def parse(content: bytes, name: str) -> Manifest:
    """Returns the manifest that `dump` wrote to the file `name`. Raises DataError."""
    with reading(name, "not the manifest of a prepared data set"):
        entries = json.loads(content)
        if entries.pop("format") != FORMAT:
            raise ValueError("another kind of file")
        version = entries.pop("version")
    if version != VERSION:
        raise DataError(
            f"{name}: has version {version} of the format, expected {VERSION}; prepare the data again"
        )
    with reading(name, "the manifest is damaged; prepare the data set again"):
        packs = tuple(map(Pack.of, entries.pop("packs")))
        skipped = tuple((str(file), str(cause)) for file, cause in entries.pop("skipped"))
        normalization = Normalization(**_tuples(entries.pop("normalization")))
        made = Manifest(**_tuples(entries), normalization=normalization, packs=packs, skipped=skipped)
        _check_classes(made)
    return made


def _check_classes(manifest: Manifest) -> None:
    numbers = [number for number in manifest.classes if number is not None]
    if manifest.class_names and any(not 0 <= number < len(manifest.class_names) for number in numbers):
        raise ValueError(f"an item has none of its {len(manifest.class_names)} classes")


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}

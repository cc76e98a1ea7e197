"""What is to be converted: a source, how it is stored, and the jobs that this comes to."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ucf_vit.core.errors import DataError
from ucf_vit.core.urls import checked
from ucf_vit.data.prepare import manifest
from ucf_vit.data.prepare.grid import check_sides, chunk_of, chunk_sides, rows_and_depth
from ucf_vit.data.prepare.write import Job
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources import Item, Source, resolve
from ucf_vit.data.storage import Cache, Files
from ucf_vit.planning.inventory import in_threads

_NOT_KEPT = ("root", "scratch", "files", "variables", "tile_dims")


@dataclass(frozen=True)
class Origin:
    """A source of the kind `kind` (a name as in data.dataset), and what its constructor is given."""

    kind: str
    given: Mapping[str, Any]

    @classmethod
    def of(cls, kind: str, root: str, variables: Sequence[str] | None, options: Mapping[str, Any]) -> Origin:
        """Those of the options that the source takes."""
        scratch = Scratch()
        given = {"root": checked(root), "scratch": scratch, "files": Files(Cache(scratch)), **options}
        if variables is not None:
            given["variables"] = tuple(variables)
        accepted = inspect.signature(resolve(kind)).parameters
        return cls(
            kind, {key: value for key, value in given.items() if key in accepted and value is not None}
        )

    def make(self) -> Source:
        """A source of its own for each thread: sources keep files open."""
        return resolve(self.kind)(**self.given)

    @property
    def options(self) -> dict[str, Any]:
        """Those that change what the source gives."""
        return {key: value for key, value in self.given.items() if key not in _NOT_KEPT}


@dataclass(frozen=True)
class Settings:
    """How a data set is stored: sides of a chunk, or of a tile that chunks are made for; size of a shard."""

    chunk: tuple[int, ...] | None = None
    tile: tuple[int, ...] | None = None
    shard_bytes: int = 128 * 2**20
    workers: int = 1
    on_error: Literal["fail", "skip"] = "fail"
    max_errors: int = 10


@dataclass(frozen=True)
class Plan:
    """Readable items with their shapes, those that are not with the causes, and the jobs."""

    items: Sequence[Item]
    skipped: Sequence[tuple[str, str]]
    jobs: Sequence[Job]
    digest: str

    @classmethod
    def of(cls, origin: Origin, source: Source, settings: Settings) -> Plan:
        """All items of a source. Raises DataError where a header can't be read and is not to be skipped."""
        items, shapes, skipped = _shapes(source, settings)
        dims = source.spatial_dims
        sides = (
            chunk_sides(dims, settings.tile) if settings.chunk is None else check_sides(settings.chunk, dims)
        )
        jobs = list(_jobs(items, shapes, len(source.variables), sides, settings.shard_bytes))
        paths = list(dict.fromkeys(path for item in items for path in (item.image, item.label) if path))
        stamps = dict(zip(paths, in_threads(Files().stamp, paths), strict=True))
        about = (
            *(manifest.VERSION, origin.kind, origin.options, source.variables, sides, settings.shard_bytes),
            [
                (i.key, i.stratum, i.class_index, i.step, stamps[i.image], i.label and stamps[i.label])
                for i in items
            ],
            shapes,
        )
        digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
        return cls(items, skipped, jobs, digest)


def _shapes(
    source: Source, settings: Settings
) -> tuple[list[Item], list[tuple[int, ...]], list[tuple[str, str]]]:
    def shape(item: Item) -> tuple[int, ...] | DataError:
        try:
            return tuple(map(int, source.shape(item)))
        except DataError as error:
            return error
        except (OSError, EOFError, ValueError) as error:
            return DataError(f"{item.image}: {error}")

    everything = source.items()
    found = in_threads(shape, everything)
    skipped = [
        (i.image, str(one)) for i, one in zip(everything, found, strict=True) if isinstance(one, DataError)
    ]
    if skipped and (settings.on_error == "fail" or len(skipped) > settings.max_errors):
        raise DataError(skipped[0][1])
    good = [(i, one) for i, one in zip(everything, found, strict=True) if not isinstance(one, DataError)]
    return [item for item, _ in good], [one for _, one in good], skipped


def _jobs(
    items: Sequence[Item],
    shapes: Sequence[tuple[int, ...]],
    channels: int,
    sides: Sequence[int],
    shard_bytes: int,
) -> Iterator[Job]:
    """Items of the same shape that fill a shard together, with a label each or all without."""
    alike: dict[tuple[bool, tuple[int, ...]], list[int]] = {}
    for number, (item, shape) in enumerate(zip(items, shapes, strict=True)):
        alike.setdefault((item.label is not None, shape), []).append(number)
    count = 0
    for (_, shape), numbers in alike.items():
        chunk = chunk_of(channels, shape[1:], sides)
        rows, depth = rows_and_depth(channels, shape[1:], chunk, shard_bytes)
        for first in range(0, len(numbers), rows):
            few = tuple(numbers[first : first + rows])
            yield Job(f"{count:06d}", few, tuple(items[n] for n in few), shape, chunk, depth)
            count += 1

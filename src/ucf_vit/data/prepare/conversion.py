"""Plan of a conversion: the source, how it is stored, and the jobs."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.urls import checked
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.prepare import npy_pairs
from ucf_vit.data.prepare.grid import check_sides, chunk_of, chunk_sides, rows_and_depth
from ucf_vit.data.prepare.recipe import Processed, Recipe
from ucf_vit.data.prepare.write import Job
from ucf_vit.data.read_item import shape_of
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import SOURCES, Item, Source, value_options
from ucf_vit.data.sources.regridded import on_grid
from ucf_vit.data.sources.source import describe
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """Source of the kind `kind` (a name as in data.dataset), and the arguments of its constructor.

    Items are prepared on the grid of `grid`, and then as `recipe` says.
    """

    kind: str
    given: Mapping[str, Any]
    recipe: Recipe = field(default_factory=Recipe)
    grid: GridOptions = field(default_factory=GridOptions)

    @classmethod
    def of(
        cls,
        kind: str,
        root: str,
        variables: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        offered: Mapping[str, Any] | None = None,
        grid: GridOptions | None = None,
    ) -> Origin:
        """Returns the origin of the items in `root`; the source has to take all `options`.

        `offered` (such as `files`, `scratch` and `tile_dims`) is given to a source that takes it.
        """
        scratch = Scratch()
        more: dict[str, Any] = {"root": checked(root), "scratch": scratch, "files": Files(Cache(scratch))}
        if variables is not None:
            more["variables"] = tuple(variables)
        arguments = SOURCES.arguments(kind, options or {}, {**more, **(offered or {})})
        return cls(kind, arguments, grid=grid or GridOptions())

    def make(self) -> Source:
        """Returns a new source; each thread needs its own, since sources keep files open."""
        with reading(str(self.given["root"])):
            source = SOURCES[self.kind](**self.given)
        scratch = self.given.get("scratch") or Scratch()
        files = self.given.get("files") or Files(Cache(scratch))
        if not self.grid.as_stored and self.recipe.resamples:
            raise UserError(
                f"{self.given['root']}: the config turns, crops or resamples it ({self.grid}), and the "
                "recipe resamples it again; set data.orientation and data.spacing to as_stored"
            )
        source = on_grid(source, self.grid, scratch, files, self.given)
        return source if self.recipe == Recipe() else Processed(source, self.recipe)

    @property
    def options(self) -> dict[str, Any]:
        """Options that change the values of the source."""
        recipe = self.recipe.options
        return {**value_options(self.given), **self.grid.values, **({"recipe": recipe} if recipe else {})}


@dataclass(frozen=True)
class StorageOptions:
    """Storage of a data set: shape of a chunk, or of a tile that chunks are made for; size of a shard.

    Format "npy_pairs" is a .npy file for each image and label, without chunks.
    """

    chunk: tuple[int, ...] | None = None
    tile: tuple[int, ...] | None = None
    shard_bytes: int = 128 * 2**20
    workers: int = 1
    on_error: Literal["fail", "skip"] = "fail"
    max_errors: int = 10
    format: Literal["prepared", "npy_pairs"] = "prepared"

    @property
    def folder(self) -> str:
        """Folder of the packs below that of the data set."""
        return manifest.PACKS if self.format == "prepared" else ""

    @property
    def owned(self) -> tuple[str, ...]:
        """Folders that only a conversion writes to."""
        return (manifest.PACKS,) if self.format == "prepared" else npy_pairs.FOLDERS


@dataclass(frozen=True)
class Conversion:
    """Readable items with their shapes, unreadable ones with the causes, and the jobs.

    `listed` describes the files of the data set, including those that were passed over.
    """

    items: Sequence[Item]
    skipped: Sequence[tuple[str, str]]
    jobs: Sequence[Job]
    digest: str
    listed: str

    @classmethod
    def of(cls, origin: Origin, source: Source, settings: StorageOptions) -> Conversion:
        """Returns the conversion of all items. Raises DataError where a header can't be read and must not be
        skipped.
        """
        if source.arrays:
            names = ", ".join(source.arrays)
            raise DataError(
                f"{origin.given['root']}: it also has {names}; only images and labels can be prepared"
            )
        files = origin.given.get("files") or Files()
        with reading(str(origin.given["root"])):
            everything = source.items()
        items, shapes, skipped = _shapes(source, everything, settings, files.max_item_bytes)
        for remark in source.remarks():
            log.warning("%s: %s", origin.given["root"], remark)
        dims = source.spatial_dims
        sides = (
            chunk_sides(dims, settings.tile) if settings.chunk is None else check_sides(settings.chunk, dims)
        )
        if settings.format == "npy_pairs":
            jobs = list(_single_jobs(items, shapes))
        else:
            jobs = list(_jobs(items, shapes, len(source.variables), sides, settings.shard_bytes))
        parts = [(i.image, i.label, *_others(source, i)) for i in items]
        paths = list(dict.fromkeys(path for some in parts for path in some if path))
        states = dict(zip(paths, map_in_threads(files.state, paths), strict=True))
        about = (
            *(manifest.VERSION, origin.kind, origin.options, source.variables, sides, settings.shard_bytes),
            *([settings.format] if settings.format != "prepared" else []),
            [
                (i.key, i.stratum, i.class_index, i.step, *(path and states[path] for path in some))
                for i, some in zip(items, parts, strict=True)
            ],
            shapes,
        )
        digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
        return cls(items, skipped, jobs, digest, describe(source, everything))


def _others(source: Source, item: Item) -> list[str]:
    """Returns the files of an item besides its image and label."""
    return [path for path in source.parts(item) if path not in (item.image, item.label)]


def _shapes(
    source: Source, everything: Sequence[Item], settings: StorageOptions, max_bytes: int | None
) -> tuple[list[Item], list[tuple[int, ...]], list[tuple[str, str]]]:
    def shape(item: Item) -> tuple[int, ...] | DataError:
        try:
            return shape_of(source, item, max_bytes)
        except DataError as error:
            return error

    results = map_in_threads(shape, everything)
    skipped = [
        (i.image, str(one)) for i, one in zip(everything, results, strict=True) if isinstance(one, DataError)
    ]
    if skipped and (settings.on_error == "fail" or len(skipped) > settings.max_errors):
        raise DataError(skipped[0][1])
    good = [(i, one) for i, one in zip(everything, results, strict=True) if not isinstance(one, DataError)]
    return [item for item, _ in good], [one for _, one in good], skipped


def _single_jobs(items: Sequence[Item], shapes: Sequence[tuple[int, ...]]) -> Iterator[Job]:
    """Yields a job per item. Raises DataError where two would have files of one name."""
    names: dict[str, str] = {}
    for number, (item, shape) in enumerate(zip(items, shapes, strict=True)):
        other = names.setdefault(npy_pairs.file_name(item.key), item.key)
        if other != item.key:
            raise DataError(f"{item.key} and {other} would have one file name; rename one of them")
        yield Job(f"{number:06d}", (number,), (item,), shape, shape, shape[1])


def _jobs(
    items: Sequence[Item],
    shapes: Sequence[tuple[int, ...]],
    channels: int,
    sides: Sequence[int],
    shard_bytes: int,
) -> Iterator[Job]:
    """Yields jobs of items of the same shape that fill a shard together, either all with labels or all
    without.
    """
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

"""Writes items of one shape as packs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.prepared.hashes import flush_and_hash
from ucf_vit.data.formats.prepared.manifest import Pack
from ucf_vit.data.read_item import read_sample, reading_item
from ucf_vit.data.sources import Item, Source

LEVEL = 3
"""Default of Zstandard: higher levels are much slower, and images are mostly noise."""
_Slab = tuple[int, NDArray[Any], NDArray[Any] | None]


@dataclass(frozen=True)
class Job:
    """Items that share a shard: their numbers, the shape `(C, *S)` of each, the chunk `(c, *s)` of a pack.

    A single item that is longer than `depth` along its first axis is cut into slabs of `depth`.
    """

    name: str
    numbers: tuple[int, ...]
    items: tuple[Item, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    depth: int


@dataclass(frozen=True)
class Done:
    """Result of a job: its packs, and the items that could not be read with the causes."""

    packs: tuple[Pack, ...]
    failed: tuple[tuple[int, str], ...] = ()


def write_job(job: Job, source: Source, folder: Path, skip: bool) -> Done:
    """Reads the items and writes them to packs below `folder`, which are on disk when this returns.

    Items of one shape may differ in type; each type has a pack of its own. Raises DataError that names an
    item that can't be read (with `skip` it is left out), and OSError where writing fails.
    """
    if job.depth < job.shape[1]:
        return _write_slabs(job, source, folder, skip)
    samples: dict[tuple[str, str | None], list[tuple[int, Sample]]] = {}
    failed = []
    for number, item in zip(job.numbers, job.items, strict=True):
        try:
            sample = read_checked(source, item, None, job.shape)
        except DataError as error:
            if not skip:
                raise
            failed.append((number, str(error)))
        else:
            samples.setdefault(_types(sample), []).append((number, sample))
    packs = []
    for count, members in enumerate(samples.values()):
        slab = 0, *_stacked([sample for _, sample in members])
        name = f"{job.name}-{count}" if count else job.name
        packs.append(_write_pack(folder, name, job, [number for number, _ in members], [slab]))
    return Done(tuple(packs), tuple(failed))


def _write_slabs(job: Job, source: Source, folder: Path, skip: bool) -> Done:
    (item,) = job.items

    def slabs() -> Iterator[_Slab]:
        types = None
        for first in range(0, job.shape[1], job.depth):
            last = min(first + job.depth, job.shape[1])
            region = (slice(first, last), *(slice(0, size) for size in job.shape[2:]))
            sample = read_checked(source, item, region, (job.shape[0], last - first, *job.shape[2:]))
            types = types or _types(sample)
            if _types(sample) != types:
                raise DataError(f"{item.image}: the type of its values changes within it")
            yield first, *_stacked([sample])

    try:
        return Done((_write_pack(folder, job.name, job, job.numbers, slabs()),))
    except DataError as error:
        if not skip:
            raise
        shutil.rmtree(folder / job.name, ignore_errors=True)
        return Done((), ((job.numbers[0], str(error)),))


def _write_pack(folder: Path, name: str, job: Job, numbers: Sequence[int], slabs: Iterable[_Slab]) -> Pack:
    place, space = folder / name, job.shape[1:]
    arrays: dict[str, Any] = {}
    for first, image, label in slabs:
        last = first + image.shape[2]
        for part, block in (("image", image), ("label", label)):
            if block is None:
                continue
            ahead, chunk = (
                (block.shape[:2], job.chunk) if part == "image" else (block.shape[:1], job.chunk[1:])
            )
            if part not in arrays:
                arrays[part] = _create(
                    place / part, (*ahead, *space), (1, *chunk), len(ahead), job.depth, block
                )
            arrays[part][(*(slice(None),) * len(ahead), slice(first, last))] = block
    stored = arrays["image"]
    return Pack(
        name=name,
        shape=job.shape,
        channels=int(stored.shape[1]),
        dtype=image.dtype.str,
        label_dtype=None if label is None else label.dtype.str,
        chunk=job.chunk,
        depth=job.depth,
        items=tuple(numbers),
        files=flush_and_hash(place),
    )


def _create(
    path: Path, shape: tuple[int, ...], chunk: tuple[int, ...], axis: int, depth: int, block: NDArray[Any]
) -> Any:
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec

    whole = (-(-size // side) * side for size, side in zip(shape, chunk, strict=True))
    shard = tuple(depth if number == axis else size for number, size in enumerate(whole))
    big = block.dtype.str.startswith(">")
    return zarr.create_array(
        store=str(path),
        shape=shape,
        chunks=chunk,
        shards=shard,
        dtype=block.dtype,
        serializer=BytesCodec(endian="big" if big else "little"),
        compressors=ZstdCodec(level=LEVEL, checksum=True),
        chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": True},
    )


def read_checked(
    source: Source, item: Item, region: tuple[slice, ...] | None, shape: tuple[int, ...]
) -> Sample:
    """Returns a sample of real numbers with the shape of its header, and a label where there is one per
    voxel.
    """
    sample = read_sample(source, item, region)
    with reading_item(item):
        _check(sample, item, shape, len(source.variables))
    return sample if item.label is not None else replace(sample, label=None)


def _check(sample: Sample, item: Item, shape: tuple[int, ...], channels: int) -> None:
    if sample.image.shape != (channels, *shape[1:]):
        raise ValueError(
            f"read an image {sample.image.shape}; by the header expected {(channels, *shape[1:])}"
        )
    if item.label is not None and (sample.label is None or sample.label.shape != shape[1:]):
        shape_read = None if sample.label is None else sample.label.shape
        raise ValueError(f"read a label {shape_read}; by the header expected {shape[1:]}")
    for array in (sample.image, sample.label):
        if array is not None and array.dtype.itemsize > 8:
            raise ValueError(f"holds {array.dtype}, which can't be stored")


def _types(sample: Sample) -> tuple[str, str | None]:
    return sample.image.dtype.str, None if sample.label is None else sample.label.dtype.str


def _stacked(samples: Sequence[Sample]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Returns images and labels of one type each, with their byte order kept."""
    images, labels = [one.image for one in samples], [one.label for one in samples if one.label is not None]
    image = np.stack(images, dtype=images[0].dtype)
    return image, np.stack(labels, dtype=labels[0].dtype) if labels else None


def check_installed() -> None:
    """Raises UserError where zarr is not installed."""
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise UserError("preparing data needs zarr: pip install 'ucf-vit[zarr]'") from error

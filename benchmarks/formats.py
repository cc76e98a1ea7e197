"""Tiles per second from prepared data, .nii and .nii.gz files of the same volumes, in one process.

    python benchmarks/formats.py           4 volumes of 256^3 int16 with labels (2 minutes)
    python benchmarks/formats.py --quick   small volumes (seconds)

Tiles of image and label, in random order over all volumes, as float32 and int64 arrays. In the first pass the
files are not in the page cache, nothing is open and nothing is decompressed; in the second all of that is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.sources import SOURCES, Item, Source
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.memory_order import compact
from ucf_vit.patching.tiles import Tiling
from ucf_vit.synthetic import write_dataset

FORMATS = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Row:
    """MiB on disk, and tiles per second in the first and the second pass."""

    format: str
    tile: int
    size: float
    first: float
    second: float


def measure(volumes: int, edge: int, tiles: tuple[int, ...], chunks: tuple[int, ...]) -> list[Row]:
    """All figures of one run."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for suffix in FORMATS:
            write_dataset(place / suffix, volumes, (edge,) * 3, seed=0, compressed=suffix == ".nii.gz")
        for chunk in chunks:
            origin = Origin.of("basic_ct", str(place / ".nii"), None, {})
            start = time.perf_counter()
            prepare(origin, place / f"prepared, {chunk}", StorageOptions(chunk=(chunk,) * 3))
            print(f"prepared in chunks of {chunk}: {time.perf_counter() - start:.1f} s")
        for tile in tiles:
            rows += [read("basic_ct", place / suffix, tile) for suffix in FORMATS]
            rows += [read("prepared", place / f"prepared, {chunk}", tile) for chunk in chunks]
    return rows


def read(kind: str, root: Path, tile: int) -> Row:
    """Two passes over the tiles of all volumes."""
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in files:
        forget(path)
    with tempfile.TemporaryDirectory() as scratch:
        given = {"scratch": Scratch(scratch)} if kind == "basic_ct" else {}
        source = SOURCES[kind](root, **given)
        seconds = []
        for seed in range(2):
            regions = list(shuffled(source, tile, seed))
            start = time.perf_counter()
            for item, region in regions:
                sample = source.read(item, region)
                np.ascontiguousarray(compact(sample.image[0]), np.float32)
                np.ascontiguousarray(compact(np.asarray(sample.label)), np.int64)
            seconds.append((time.perf_counter() - start) / len(regions))
    size = sum(path.stat().st_size for path in files) / 2**20
    return Row(root.name, tile, size, 1 / seconds[0], 1 / seconds[1])


def shuffled(source: Source, tile: int, seed: int) -> Iterator[tuple[Item, tuple[slice, ...]]]:
    """All tiles of all items."""
    places = [
        (item, Tiling(source.shape(item)[1:], (tile,) * 3).region(number))
        for item in source.items()
        for number in range(len(Tiling(source.shape(item)[1:], (tile,) * 3)))
    ]
    for number in np.random.default_rng(seed).permutation(len(places)):
        yield places[number]


def forget(path: Path) -> None:
    """Take a file out of the page cache."""
    with opened(path) as handle:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A handle on a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def show(rows: list[Row]) -> None:
    """A table."""
    table = Table("files", "tile", "MiB", "first pass, tiles/s", "second pass, tiles/s")
    for row in rows:
        table.add_row(row.format, f"{row.tile}^3", f"{row.size:.0f}", f"{row.first:.0f}", f"{row.second:.0f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        show(measure(2, 64, (32,), (32,)))
    else:
        show(measure(4, 256, (64, 96), (32, 64)))


if __name__ == "__main__":
    main()

"""Time of the loader, beside others that do the same work, each comparison within one run.

    python benchmarks/data.py tiles             against MONAI's cached data sets and a plain read (4 minutes)
    python benchmarks/data.py resume            time to the first batch of an epoch of 1 million tiles
    python benchmarks/data.py tiles --quick     small volumes (seconds)

`tiles`: 8 volumes of 192^3 float32 with labels, tiles of 64^3 in batches of 4, mixed by a buffer of 50 tiles,
min-max normalised. MONAI: PersistentDataset (on disk) or CacheDataset (in memory) of loaded and normalised
volumes, of which GridPatchDataset cuts each tile once in an epoch; not mixed, since with several workers its
ShuffleBuffer leaves tiles out. The plain reader loads whole files for each tile. The first epoch includes
building the data set, decompression and the statistics of every volume. Memory is the proportional set size
of the processes after the last epoch.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from rich.console import Console
from rich.table import Table

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.storage.scratch import Scratch

FORMATS = (".nii", ".nii.gz")
BATCH, BUFFER = 4, 50


@dataclass(frozen=True)
class Size:
    """`volumes` cubes of `edge` voxels, cut into tiles of `tile`; readers run for `epochs`."""

    volumes: int
    edge: int
    tile: int
    epochs: int

    @property
    def tiles(self) -> int:
        """Tiles of all volumes."""
        return self.volumes * (self.edge // self.tile) ** 3


FULL = Size(volumes=8, edge=192, tile=64, epochs=4)
QUICK = Size(volumes=4, edge=64, tile=32, epochs=2)
EPOCH = Size(volumes=2000, edge=512, tile=64, epochs=1)
SHORT_EPOCH = Size(volumes=20, edge=128, tile=64, epochs=1)


@dataclass(frozen=True)
class Row:
    """Tiles per second in the first and in later epochs (the best); MiB of this process and of a worker."""

    format: str
    reader: str
    workers: int
    first: float
    later: float
    memory: float
    memory_worker: float


Epoch = Callable[[], Iterable[Any]]
"""The batches of an epoch."""


def tiles(size: Size, workers: int) -> list[Row]:
    """All readers on both formats."""
    import monai.data
    import monai.transforms  # noqa: F401  (seconds that are not the reader's)

    rows = []
    readers: dict[str, Callable[[Path, Size, int, Path], Epoch]] = {
        "plain": plain,
        "MONAI PersistentDataset": monai_persistent,
        "MONAI CacheDataset": monai_cached,
        "ucf_vit": stream,
    }
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            root = Path(folder) / suffix.strip(".")
            write(root, size, suffix)
            for name, make in readers.items():
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    rows.append(timed(suffix, name, make, root, size, workers, Path(own)))
    return rows


def timed(
    suffix: str,
    name: str,
    make: Callable[[Path, Size, int, Path], Epoch],
    root: Path,
    size: Size,
    workers: int,
    own: Path,
) -> Row:
    """A reader that is built and read for all epochs; each has to give every tile once."""
    rates: list[float] = []
    begin = time.perf_counter()
    epoch = make(root, size, workers, own)
    for _ in range(1 if name == "plain" else size.epochs):
        count = sum(len(batch.image if hasattr(batch, "image") else batch["image"]) for batch in epoch())
        if count != size.tiles and name != "plain":
            raise RuntimeError(f"{name} gave {count} of {size.tiles} tiles")
        rates.append(count / (time.perf_counter() - begin))
        begin = time.perf_counter()
    children = [pss(child.pid) for child in multiprocessing.active_children() if child.pid]
    row = Row(
        suffix, name, workers, rates[0], max(rates[1:] or rates), pss(os.getpid()), max(children, default=0)
    )
    del epoch
    gc.collect()
    return row


def write(root: Path, size: Size, suffix: str) -> None:
    """CT-like volumes: smooth structure and noise, float32, with a uint8 label."""
    rng = np.random.default_rng(0)
    shape = (size.edge,) * 3
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(size.volumes):
        wave = np.sin(np.arange(size.edge) / (9 + number))
        grid = np.add.outer(np.add.outer(wave, wave), np.ones(size.edge))
        image = (1000 * grid + rng.normal(scale=50, size=shape)).round().astype(np.float32)
        label = (grid > 0).astype(np.uint8) + (grid > 1)
        for folder, array in (("imagesTr", image), ("labelsTr", label.astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / folder / f"v{number}{suffix}")


def dataset(root: Path, size: Size, scratch: Scratch) -> Dataset:
    """Ours."""
    side = (size.tile,) * 3
    return build_dataset(
        "ct", "basic_ct", root, tile_size=side, num_classes=3, buffer_size=BUFFER, scratch=scratch
    )


def stream(root: Path, size: Size, workers: int, own: Path) -> Epoch:
    """Ours, as training reads it."""
    batches = Stream([dataset(root, size, Scratch(own))], batch_size=BATCH, seed=0, num_workers=workers)
    return lambda: batches


def plain(root: Path, size: Size, workers: int, own: Path) -> Epoch:
    """Some random tiles, each from freshly loaded files."""
    data = dataset(root, size, Scratch(own))
    chosen = np.random.default_rng(0).integers(len(data), size=16).tolist()

    def epoch() -> Iterable[Any]:
        for tile in chosen:
            number, k = data.locate(tile)
            item, region = data.items[number], data.tilings[number].region(k)
            image = np.asarray(nibabel.load(item.image).get_fdata(dtype=np.float32))
            image = (image - image.min()) / np.ptp(image)
            label = nibabel.load(str(item.label)).get_fdata()[region].astype(np.int64)
            yield {"image": image[region][None], "label": label[None]}

    return epoch


def monai_persistent(root: Path, size: Size, workers: int, own: Path) -> Epoch:
    """Volumes are loaded and normalised once, and read back from disk in every epoch."""
    from monai.data import PersistentDataset

    return patches(PersistentDataset(files(root), loading(), cache_dir=own), size, workers)


def monai_cached(root: Path, size: Size, workers: int, own: Path) -> Epoch:
    """Volumes are loaded and normalised once, and kept in memory."""
    from monai.data import CacheDataset

    data = CacheDataset(files(root), loading(), num_workers=max(workers, 1), progress=False)
    return patches(data, size, workers)


def files(root: Path) -> list[dict[str, str]]:
    """Pairs of image and label."""
    return [
        {"image": str(path), "label": str(root / "labelsTr" / path.name)}
        for path in sorted((root / "imagesTr").iterdir())
    ]


def loading() -> Any:
    """Work on a whole volume."""
    from monai.data import NibabelReader
    from monai.transforms import Compose, LoadImaged, ScaleIntensityd

    return Compose(
        [LoadImaged(("image", "label"), NibabelReader, ensure_channel_first=True), ScaleIntensityd("image")]
    )


def patches(volumes: Any, size: Size, workers: int) -> Epoch:
    """Each tile of a grid once, volume by volume, in batches."""
    from monai.data import DataLoader, GridPatchDataset, PatchIterd

    grid = PatchIterd(("image", "label"), (size.tile,) * 3)
    data = GridPatchDataset(volumes, grid, with_coordinates=False)
    loader = DataLoader(data, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)
    return lambda: loader


def resume(size: Size) -> list[tuple[str, float, float]]:
    """Seconds to the first batch at some places of an epoch: in all, and after the data set is built."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sparse(Path(folder) / "ct", size)
        for place in (0.0, 0.5, 0.99):
            begin = time.perf_counter()
            data = windowed(Path(folder) / "ct", size, Scratch(Path(folder) / "scratch"))
            built = time.perf_counter()
            batches = Stream([data], batch_size=BATCH, seed=0)
            batches.load_state_dict(batches.state_dict() | {"position": int(place * len(batches))})
            next(iter(batches))
            now = time.perf_counter()
            rows.append((f"{len(data):,} tiles, at {place:.0%}", now - begin, now - built))
    return rows


def windowed(root: Path, size: Size, scratch: Scratch) -> Dataset:
    """Images alone, between given limits: nothing has to be known of a whole volume before its first tile."""
    kind = {"kind": "window", "low": -1000.0, "high": 1000.0}
    side = (size.tile,) * 3
    return build_dataset(
        "ct", "basic_ct", root, tile_size=side, labels=False, normalization=kind, scratch=scratch
    )


def sparse(root: Path, size: Size) -> None:
    """Volumes of zeros that take no room on disk."""
    shape = (size.edge,) * 3
    for folder, kind in (("imagesTr", np.int16), ("labelsTr", np.uint8)):
        (root / folder).mkdir(parents=True)
        header = nibabel.Nifti1Header()
        header.set_data_dtype(kind)
        header.set_data_shape(shape)
        header["vox_offset"], header["magic"] = 352, b"n+1"
        for number in range(size.volumes):
            with (root / folder / f"v{number}.nii").open("wb") as file:
                file.write(header.binaryblock)
                file.truncate(352 + size.edge**3 * np.dtype(kind).itemsize)


def pss(process: int) -> float:
    """MiB of a process, shared pages in equal parts."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def show_tiles(rows: list[Row]) -> None:
    """A table with ours as a multiple of each."""
    table = Table(title="Tiles per second, image and label")
    for column in (
        "format",
        "reader",
        "workers",
        "first epoch",
        "later",
        "ours, first",
        "ours, later",
        "MiB",
        "MiB/worker",
    ):
        table.add_column(column, justify="left" if column in ("format", "reader") else "right")
    for row in rows:
        ours = next(other for other in rows if (other.format, other.reader) == (row.format, "ucf_vit"))
        ratios = (f"{ours.first / row.first:.2f}", f"{ours.later / row.later:.2f}")
        figures = [f"{figure:.1f}" for figure in (row.first, row.later)]
        memory = [f"{figure:.0f}" for figure in (row.memory, row.memory_worker)]
        table.add_row(row.format, row.reader, str(row.workers), *figures, *ratios, *memory)
    Console(width=140).print(table)


def show_resume(rows: list[tuple[str, float, float]]) -> None:
    """Lines of seconds."""
    for name, total, after in rows:
        print(f"{name}: first batch after {total:.2f} s, {after:.2f} s of it with the data set built")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("tiles", "resume"))
    parser.add_argument("--quick", action="store_true", help="small volumes, seconds")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.what == "tiles":
        show_tiles(tiles(QUICK if chosen.quick else FULL, chosen.workers))
    else:
        show_resume(resume(SHORT_EPOCH if chosen.quick else EPOCH))

"""Time of resampling a volume with its label, and of reading tiles on another grid, each within one run.

    python benchmarks/geometry.py             volumes of 192^3 (2 minutes)
    python benchmarks/geometry.py --quick     small volumes (seconds)

`volumes`: seconds for an image (float32, cubic splines) and a label of four classes, in one thread, the best
of three. scipy: `affine_transform` of order 3 behind the same Gaussian, nearest labels. MONAI: `Spacingd` of
order 3 with nearest labels (which calls scipy), and with trilinear images. `tiles`: tiles per second in this
process, in the epoch in which volumes are resampled and in the next one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.labels import resample_label
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Regrid, regrid
from ucf_vit.data.geometry.resample import resample_image
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.storage.scratch import Scratch

REPEATS = 3
SPACING = (1.0, 1.0, 1.5)
Arrays = tuple[NDArray[Any], NDArray[Any]]


def volume(edge: int) -> Arrays:
    """Smooth structure and noise `[X, Y, Z]`, with a label of four classes."""
    wave = np.sin(np.arange(edge) / 9)
    grid = np.add.outer(np.add.outer(wave, wave), wave)
    noise = np.random.default_rng(0).normal(scale=50, size=grid.shape)
    return (1000 * grid + noise).astype(np.float32), np.digitize(grid, (-1, 0, 1)).astype(np.uint8)


def ours(arrays: Arrays, grid: Regrid) -> Arrays:
    return resample_image(arrays[0], grid), resample_label(arrays[1], grid)


def scipy(arrays: Arrays, grid: Regrid) -> Arrays:
    sigma = np.maximum(0, (np.array(grid.steps) - 1) / 2)
    image = ndimage.gaussian_filter(arrays[0], sigma)
    given = (grid.steps, grid.offsets, grid.shape)
    image = ndimage.affine_transform(image, *given, order=3, mode="nearest")
    return image, ndimage.affine_transform(arrays[1], *given, order=0, mode="nearest")


def monai(arrays: Arrays, grid: Regrid, mode: int | str) -> Arrays:
    from monai.data import MetaTensor
    from monai.transforms import Spacingd

    affine = torch.from_numpy(grid.stored.affine)
    given = {key: MetaTensor(one[None], affine) for key, one in zip("ab", arrays, strict=True)}
    kinds = (mode, 0 if mode == 3 else "nearest")
    found = Spacingd(
        ("a", "b"), grid.geometry.spacing, mode=kinds, padding_mode=("nearest" if mode == 3 else "border")
    )
    made = found(given)
    return made["a"].numpy()[0], made["b"].numpy()[0]


READERS: dict[str, Callable[[Arrays, Regrid], Arrays]] = {
    "ucf_vit": ours,
    "scipy": scipy,
    "MONAI Spacingd, order 3": lambda arrays, grid: monai(arrays, grid, 3),
    "MONAI Spacingd, trilinear": lambda arrays, grid: monai(arrays, grid, "bilinear"),
}


def volumes(edge: int) -> list[tuple[str, str, float]]:
    """Name of the work, of who does it, and seconds."""
    arrays, rows = volume(edge), []
    for name, spacing in (("finer, 1 to 0.8 mm", (0.8,) * 3), ("coarser, 1 to 1.5 mm", (1.5,) * 3)):
        grid = regrid(Geometry((edge,) * 3, np.eye(4)), GridOptions(spacing=spacing))
        for reader, work in READERS.items():
            seconds = []
            for _ in range(REPEATS):
                begin = time.perf_counter()
                work(arrays, grid)
                seconds.append(time.perf_counter() - begin)
            rows.append((name, reader, min(seconds)))
    return rows


def tiles(edge: int, count: int) -> list[tuple[str, float, float]]:
    """Name of the grid, and tiles per second of the first and of the second epoch."""
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ct"
        image, label = volume(edge)
        for name, array in (("imagesTr", image), ("labelsTr", label)):
            (root / name).mkdir(parents=True)
            for number in range(count):
                nibabel.save(
                    nibabel.Nifti1Image(array, np.diag([-1, -1, 1, 1])), root / name / f"v{number}.nii"
                )
        for name, options in (
            ("as stored", GridOptions()),
            ("turned (RAS)", GridOptions("RAS")),
            ("resampled", GridOptions("RAS", SPACING)),
        ):
            scratch = Scratch(Path(folder) / "scratch")
            side = (edge // 4,) * 3
            data = build_dataset("ct", "basic_ct", root, tile_size=side, grid=options, scratch=scratch)
            stream, rates = Stream([data], batch_size=4, seed=0), []
            for _ in range(2):
                begin = time.perf_counter()
                read = sum(len(batch) for batch in stream)
                rates.append(read / (time.perf_counter() - begin))
            rows.append((name, rates[0], rates[1]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small volumes")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    table = Table("work", "by", "s per volume")
    for work, reader, seconds in volumes(48 if quick else 192):
        table.add_row(work, reader, f"{seconds:.3f}")
    Console().print(table)
    table = Table("grid", "first epoch, tiles/s", "second, tiles/s")
    for name, first, second in tiles(48 if quick else 192, 2 if quick else 4):
        table.add_row(name, f"{first:.0f}", f"{second:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""Write synthetic volumes as a data set of NIfTI files; restartable, and in several processes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import seed_of
from ucf_vit.synthetic.grid import Size
from ucf_vit.synthetic.resources import check_resources
from ucf_vit.synthetic.volume import SHORTEST, check_volume_size, make_volume

VOXEL_MM = 0.05
"""Edge of a voxel in millimetres."""
VERSION = 1
"""Raised when the same seed gives other volumes."""


def write_dataset(
    root: str | Path,
    number: int,
    size: Size,
    seed: int = 0,
    *,
    vary: float = 0.0,
    compressed: bool = True,
    overwrite: bool = False,
    processes: int = 1,
    on_volume: Callable[[Path], None] = lambda image: None,
) -> list[Path]:
    """Write `number` volumes to `root/imagesTr` and `root/labelsTr`; returns the paths of the images.

    Volume i depends on (size, vary, seed, i) alone, so that a larger set extends a smaller one. With `vary`
    every axis is up to that fraction longer or shorter than `size`, in each volume differently. Files that
    are there already are kept unless `overwrite`; a file appears under its name only when it is complete.
    `on_volume` is called with the path of every image once it is there. With more than one of `processes` the
    main module has to be safe to import.

    UserError: number or processes below 1, vary outside [0, 1), an axis that is too short or too long, no
    memory or disk for the volumes, a root that cannot be written to, or that holds something else under these
    names.
    """
    if number < 1 or processes < 1 or not 0 <= vary < 1:
        raise UserError(
            f"synthetic data set: number {number} and processes {processes} must be at least 1, "
            f"vary {vary} a fraction from 0 to below 1"
        )
    check_volume_size(size)
    root = Path(root)
    _make_folders(root, compressed)
    check_resources(root, number, size, compressed, min(processes, number))
    volumes = [_volume(root, index, size, seed, vary, compressed) for index in range(number)]
    missing = [volume for volume in volumes if overwrite or not volume.is_complete()]
    for kept in sorted({volume.image for volume in volumes} - {volume.image for volume in missing}):
        on_volume(kept)
    for written in _write_all(missing, processes):
        on_volume(written)
    return [volume.image for volume in volumes]


def parse_size(text: str) -> Size:
    """The size that a command line gives: "64" for a cube, "64x64x96" for three axes. UserError otherwise."""
    if not re.fullmatch(r"\d+(x\d+x\d+)?", text):
        raise UserError(f"size {text!r}: give one number for a cube, or three as in 64x64x96")
    axes = [int(part) for part in text.split("x")]
    return (axes[0], axes[0], axes[0]) if len(axes) == 1 else (axes[0], axes[1], axes[2])


@dataclass(frozen=True)
class _Volume:
    """What a volume is made from, its two files, and the note in their headers that says so."""

    size: Size
    seed: int
    image: Path
    label: Path
    note: str

    def is_complete(self) -> bool:
        """Whether both files are there. UserError where one of them is not this volume."""
        present = [path for path in (self.image, self.label) if path.exists()]
        for path in present:
            if not self._is_mine(path):
                raise UserError(
                    f"{path} is not the volume asked for ({self.note}, shape {self.size}); "
                    "choose another directory or overwrite it"
                )
        return len(present) == 2

    def write(self) -> Path:
        """Make the volume, write both files, label first; returns the path of the image."""
        image, label = make_volume(self.size, self.seed)
        try:
            with tempfile.TemporaryDirectory(prefix=".partial_", dir=self.image.parents[1]) as folder:
                for path, array in ((self.label, label), (self.image, image)):
                    partial = Path(folder) / path.name
                    nib.save(self._nifti(array), partial)
                    partial.replace(path)
        except OSError as error:
            raise UserError(f"cannot write {self.image} or its label: {error}") from error
        return self.image

    def _is_mine(self, path: Path) -> bool:
        try:
            header = nib.load(path).header
        except (ImageFileError, OSError, EOFError):
            return False
        return header.get_data_shape() == self.size and header["descrip"].item().decode() == self.note

    def _nifti(self, array: NDArray[np.generic]) -> nib.Nifti1Image:
        nifti = nib.Nifti1Image(array, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1]))
        nifti.header.set_xyzt_units("mm")
        nifti.header["descrip"] = self.note
        return nifti


def _volume(root: Path, index: int, size: Size, seed: int, vary: float, compressed: bool) -> _Volume:
    name = f"concrete_{index:04d}.nii" + ".gz" * compressed
    factors = 1 + vary * np.random.default_rng(seed_of(seed, "size", index)).uniform(-1, 1, size=3)
    x, y, z = (max(SHORTEST, round(n * factor)) for n, factor in zip(size, factors, strict=True))
    note = f"synthetic concrete {VERSION}, seed {seed}, volume {index}"
    image, label = root / "imagesTr" / name, root / "labelsTr" / name
    return _Volume((x, y, z), seed_of(seed, "volume", index), image, label, note)


def _write_all(volumes: list[_Volume], processes: int) -> Iterator[Path]:
    if processes == 1 or len(volumes) < 2:
        yield from map(_Volume.write, volumes)
    else:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        with ProcessPoolExecutor(min(processes, len(volumes)), mp_context=context) as pool:
            yield from pool.map(_Volume.write, volumes)


def _make_folders(root: Path, compressed: bool) -> None:
    """Create the folders. UserError where that fails, or where they hold volumes in the other format."""
    try:
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write a data set to {root}: {error}; choose another directory") from error
    others = sorted((root / "imagesTr").glob("*.nii" if compressed else "*.nii.gz"))
    if others:
        raise UserError(
            f"{others[0]} is there already, and a data set holds either .nii or .nii.gz files; "
            "choose another directory or the same format"
        )

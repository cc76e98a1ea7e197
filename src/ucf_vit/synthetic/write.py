"""Writing of synthetic volumes as a data set of NIfTI files; restartable, in several processes."""

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
from ucf_vit.synthetic.volume import MIN_SIDE, check_volume_size, make_volume

VOXEL_MM = 0.05
"""Side of a voxel in millimetres."""
VERSION = 1
"""To be incremented when a change of the code changes the volumes of a seed."""


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
    """Writes `number` volumes to `root/imagesTr` and `root/labelsTr`; returns the paths of the images.

    Volume i depends only on (size, vary, seed, i), so that a larger data set extends a smaller one. A file
    appears under its name only when it is complete. With several processes the main module has to be safe to
    import.

    Args:
        root: directory of the data set.
        number: number of volumes.
        size: voxels along the axes.
        seed: seed of all volumes.
        vary: fraction of `size` by which every axis of a volume is longer or shorter at most.
        compressed: whether to write .nii.gz files instead of .nii files.
        overwrite: whether to replace existing files.
        processes: number of processes.
        on_volume: called with the path of every image once it exists.

    Raises UserError if an argument is out of range, if memory or disk space do not suffice, if `root` cannot
    be written to, or if it has other files under these names.
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
    for existing in sorted({volume.image for volume in volumes} - {volume.image for volume in missing}):
        on_volume(existing)
    for written in _write_all(missing, processes):
        on_volume(written)
    return [volume.image for volume in volumes]


def parse_size(text: str) -> Size:
    """Returns the size for a text: "64" for a cube, "64x64x96" for three axes. Raises UserError otherwise."""
    if not re.fullmatch(r"\d+(x\d+x\d+)?", text):
        raise UserError(f"size {text!r}: give one number for a cube, or three as in 64x64x96")
    axes = [int(part) for part in text.split("x")]
    return (axes[0], axes[0], axes[0]) if len(axes) == 1 else (axes[0], axes[1], axes[2])


@dataclass(frozen=True)
class _Volume:
    """Size and seed of a volume, its two files, and the note in their headers that identifies it."""

    size: Size
    seed: int
    image: Path
    label: Path
    note: str

    def is_complete(self) -> bool:
        """Returns whether both files exist. Raises UserError if one of them is not this volume."""
        present = [path for path in (self.image, self.label) if path.exists()]
        for path in present:
            if not self._is_this_volume(path):
                raise UserError(
                    f"{path} is not the requested volume ({self.note}, shape {self.size}); "
                    "choose another directory or overwrite it"
                )
        return len(present) == 2

    def write(self) -> Path:
        """Makes the volume and writes both files, label first; returns the path of the image."""
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

    def _is_this_volume(self, path: Path) -> bool:
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
    x, y, z = (max(MIN_SIDE, round(n * factor)) for n, factor in zip(size, factors, strict=True))
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
    """Creates the folders. Raises UserError if that fails, or if they hold volumes in the other format."""
    try:
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write a data set to {root}: {error}; choose another directory") from error
    others = sorted((root / "imagesTr").glob("*.nii" if compressed else "*.nii.gz"))
    if others:
        raise UserError(
            f"{others[0]} exists already, and a data set holds either .nii or .nii.gz files; "
            "choose another directory or the same format"
        )

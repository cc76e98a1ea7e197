"""Reads one image or volume of any format, for tools that look at a single file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats import nifti, npy
from ucf_vit.data.formats.picture_values import read_image
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.limits import check_plain, memory
from ucf_vit.data.reading import reading
from ucf_vit.data.storage.scratch import Scratch

ARRAYS = (*nifti.SUFFIXES, ".npy")


def read_file(path: Path) -> NDArray[Any]:
    """Returns the array `[C, *S]` with the stored values and type (a NIfTI file's slope is applied).

    Pictures are grey or RGB (alpha is dropped), turned as their Exif orientation says; NIfTI has its channels
    last. A .npy file contains `[H, W]`, `[H, W, C]` with at most 4 channels, `[X, Y, Z]` or `[X, Y, Z, C]`. A
    NIfTI file one voxel thick is an image. Raises DataError with the cause.
    """
    name = path.name.lower()
    if not name.endswith((*ARRAYS, *suffixes())):
        usual = ", ".join((*ARRAYS, ".png", ".jpg"))
        raise DataError(f"{path}: not a known image format; expected {usual} or a format that Pillow reads")
    check_plain(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with reading(str(path)):
        if name.endswith(suffixes()):
            array = read_image(path, None, memory())
        elif name.endswith(".npy"):
            array = _array(path)
        else:
            volume = nifti.Volumes(Scratch()).read(str(path))
            array = volume.values(range(len(volume.raw)), (slice(None),) * 3)
            array = array[..., 0] if array.shape[-1] == 1 else array
        if not np.isfinite(array).all():
            raise DataError(f"{path}: holds NaN or infinite values")
    return array


def _array(path: Path) -> NDArray[Any]:
    with path.open("rb") as stream:
        if stream.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("not a .npy file; expected one array written by np.save, not .npz, not a pickle")
    array = npy.load(path)
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3, 4) or not array.size:
        raise ValueError(
            f"an array {array.shape} of {array.dtype}; expected real numbers [H, W], [H, W, C], "
            "[X, Y, Z] or [X, Y, Z, C]"
        )
    channels_last = array.ndim == 4 or (array.ndim == 3 and array.shape[-1] <= 4)
    return np.moveaxis(array, -1, 0) if channels_last else array[None]

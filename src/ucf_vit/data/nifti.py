"""NIfTI files: header only, or an array of which only the touched part is read."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.scratch import Scratch

SUFFIXES = (".nii", ".nii.gz")
_BROKEN = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def read_shape(path: str) -> tuple[int, ...]:
    """The stored shape `[X, Y, Z]` or `[X, Y, Z, C]`, from the first few hundred bytes. Raises DataError.

    An image `[X, Y]` is a volume one voxel thick.
    """
    shape = _header(path).get_data_shape()
    shape = (*shape, 1) if len(shape) == 2 else shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise DataError(
            f"{path}: expected a volume [X, Y, Z] or [X, Y, Z, C], found the shape {tuple(shape)}"
        )
    return tuple(map(int, shape))


def _header(path: str) -> nibabel.Nifti1Header:
    opened: Callable[..., Any] = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rb") as stream:
            start = stream.read(540)
        kind = nibabel.Nifti2Header if _starts_with(start, 540) else nibabel.Nifti1Header
        if len(start) < kind.sizeof_hdr:
            raise EOFError(f"it ends after {len(start)} bytes")
        return kind(start[: kind.sizeof_hdr], check=True)
    except _BROKEN as error:
        raise DataError(f"{path}: no readable NIfTI header ({cause(error)})") from error


def _starts_with(start: bytes, number: int) -> bool:
    return start[:4] in (number.to_bytes(4, "little"), number.to_bytes(4, "big"))


def cause(error: BaseException) -> str:
    """One line that says what went wrong."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class Volume:
    """A stored volume: `raw` `[C, X, Y, Z]` as on disk, whose values mean `raw * slope + intercept`."""

    raw: NDArray[Any]
    slope: float
    intercept: float
    mapped: bool

    def values(self, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """`[C, *region]`: a view where nothing has to be computed, else float32."""
        part = _pick(self.raw, channels, region)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return part
        part = part.astype(np.float32)
        part *= np.float32(self.slope)
        part += np.float32(self.intercept)
        return part


def _pick(raw: NDArray[Any], channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
    first = channels[0]
    if list(channels) == list(range(first, first + len(channels))):
        return raw[(slice(first, first + len(channels)), *region)]
    return raw[(slice(None), *region)][list(channels)]


def _open(path: str) -> Volume:
    data = nibabel.load(path).dataobj
    raw = data.get_unscaled()
    if raw.dtype.kind not in "biuf":
        raise ValueError(f"expected one real number per voxel, found the type {raw.dtype}")
    if raw.ndim < 2:
        raise ValueError(f"expected a volume [X, Y, Z] or [X, Y, Z, C], found the shape {raw.shape}")
    array = np.asarray(raw).reshape((*raw.shape, 1)[:3] + (-1,) * (raw.ndim > 3), order="F")
    channels_first = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    return Volume(channels_first, float(data.slope), float(data.inter), isinstance(raw, np.memmap))


class Volumes:
    """Open NIfTI volumes of one process: a compressed file is decompressed once, into the scratch directory.

    Volumes are memory maps: only the voxels used are read and none is kept. At most `keep` stay open.
    Without room for scratch files the last two (image and label) are held in memory instead.
    """

    def __init__(self, scratch: Scratch, keep: int = 32) -> None:
        self.scratch = scratch
        self.keep = keep
        self._open: OrderedDict[str, Volume] = OrderedDict()

    def read(self, path: str) -> Volume:
        """The volume stored at `path`. Raises DataError with the cause where it can't be read."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        try:
            volume = self._load(path)
        except _BROKEN as error:
            raise DataError(f"{path}: {cause(error)}") from error
        self._open[path] = volume
        held = [name for name, other in self._open.items() if not other.mapped]
        for name in {*held[:-2], *list(self._open)[: -self.keep]}:
            del self._open[name]
        return volume

    def _load(self, path: str) -> Volume:
        plain = self._decompressed(path) if path.endswith(".gz") else path
        while True:
            try:
                return _open(plain or path)
            except FileNotFoundError:
                if plain in (None, path):
                    raise
                plain = self._decompressed(path)

    def _decompressed(self, path: str) -> str | None:
        stat = Path(path).stat()
        header = _header(path)
        size = int(np.prod(header.get_data_shape())) * header.get_data_dtype().itemsize
        made = self.scratch.file(
            lambda out: _gunzip(path, out), size, ".nii", path, stat.st_size, stat.st_mtime_ns
        )
        return None if made is None else str(made)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _gunzip(path: str, out: Path) -> None:
    with gzip.open(path) as packed, out.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 2**20)
